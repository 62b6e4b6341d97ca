//! One panel of a plot: its frame, its lines, its marks, and the scales that place them.

use std::fmt::Write as _;

use crate::rollout::duration::{humane, short};

pub(super) const WIDTH: f64 = 960.0;
pub(super) const LEFT: f64 = 60.0;
pub(super) const RIGHT: f64 = 760.0;

/// From values to 0..1, left to right or bottom to top.
pub(super) enum Scale {
    Linear { from: f64, to: f64 },
    Logarithmic { from: f64, to: f64 },
}

impl Scale {
    pub fn linear(to: f64) -> Self {
        Self::Linear { from: 0.0, to }
    }

    pub fn logarithmic(from: f64, to: f64) -> Self {
        Self::Logarithmic { from, to }
    }

    pub fn of_time(first_ms: i64, last_ms: i64) -> Self {
        let from = real(first_ms);
        Self::Linear {
            from,
            to: real(last_ms).max(from + 1.0),
        }
    }

    /// Where a time lies on the page.
    pub fn at(&self, at_ms: i64) -> f64 {
        LEFT + self.fraction(real(at_ms)) * (RIGHT - LEFT)
    }

    fn fraction(&self, value: f64) -> f64 {
        let fraction = match self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Logarithmic { from, to } => (value.max(*from) / from).ln() / (to / from).ln(),
        };
        fraction.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        match self {
            Self::Linear { from, to } => (0..=4_u8)
                .map(|part| from + (to - from) * f64::from(part) / 4.0)
                .collect(),
            Self::Logarithmic { from, to } => {
                std::iter::successors(Some(*from), |tick| Some(tick * 10.0))
                    .take_while(|tick| tick <= to)
                    .collect()
            }
        }
    }
}

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(super) struct Pen<'a> {
    pub colour: &'a str,
    /// `stroke-dasharray`.
    pub gaps: &'a str,
}

pub(super) struct Panel {
    top: f64,
    height: f64,
    title: &'static str,
}

impl Panel {
    pub fn new(top: f64, height: f64, title: &'static str) -> Self {
        Self { top, height, title }
    }

    pub fn y(&self, scale: &Scale, value: f64) -> f64 {
        self.top + self.height * (1.0 - scale.fraction(value))
    }

    /// The title, and a grid whose labels are the values times `factor` with `unit`.
    pub fn frame(&self, body: &mut String, scale: &Scale, unit: &str, factor: f64) {
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"{LEFT}\" y=\"{:.0}\">{}</text>",
            self.top - 12.0,
            escape(self.title)
        );
        for tick in scale.ticks() {
            let y = self.y(scale, tick);
            let label = short(tick * factor);
            let _ = writeln!(
                body,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n\
                 <text class=\"faint\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{label}{unit}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
    }

    /// Labels of the time below the panel.
    pub fn times(&self, body: &mut String, time: &Scale) {
        let Scale::Linear { from, .. } = time else {
            return;
        };
        for tick in time.ticks() {
            let x = LEFT + time.fraction(tick) * (RIGHT - LEFT);
            let _ = writeln!(
                body,
                "<text class=\"faint\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                self.top + self.height + 16.0,
                humane(whole(tick - from))
            );
        }
    }

    pub fn line(
        &self,
        body: &mut String,
        time: &Scale,
        scale: &Scale,
        points: &[(i64, f64)],
        pen: Pen<'_>,
    ) {
        let Pen { colour, gaps } = pen;
        let path: Vec<_> = points
            .iter()
            .map(|(at_ms, value)| format!("{:.1},{:.1}", time.at(*at_ms), self.y(scale, *value)))
            .collect();
        let _ = writeln!(
            body,
            "<polyline class=\"line\" stroke=\"{colour}\" stroke-dasharray=\"{gaps}\" points=\"{}\"/>",
            path.join(" ")
        );
    }

    /// Values that hold until the next one, with the area below them.
    pub fn steps(
        &self,
        body: &mut String,
        time: &Scale,
        scale: &Scale,
        points: &[(i64, f64)],
        colour: &str,
    ) {
        let mut corners = Vec::new();
        let mut before = None;
        for (at_ms, value) in points {
            let (x, y) = (time.at(*at_ms), self.y(scale, *value));
            if let Some(before) = before {
                corners.push(format!("{x:.1},{before:.1}"));
            }
            corners.push(format!("{x:.1},{y:.1}"));
            before = Some(y);
        }
        let path = corners.join(" ");
        let bottom = self.top + self.height;
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return;
        };
        let (from, to) = (time.at(first.0), time.at(last.0));
        let _ = writeln!(
            body,
            "<polygon class=\"area\" fill=\"{colour}\" points=\"{from:.1},{bottom:.1} {path} {to:.1},{bottom:.1}\"/>\n\
             <polyline class=\"line\" stroke=\"{colour}\" points=\"{path}\"/>"
        );
    }

    /// A transition; 0 for one whose number stands in another panel.
    pub fn mark(&self, body: &mut String, x: f64, number: usize) {
        let _ = writeln!(
            body,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            self.top,
            self.top + self.height
        );
        if number > 0 {
            // Marks of one moment stand one below the other.
            let row = 12.0 + 13.0 * f64::from(u8::try_from(number % 3).unwrap_or_default());
            let _ = writeln!(
                body,
                "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\">{number}</text>",
                x + 3.0,
                self.top + row
            );
        }
    }

    pub fn legend(&self, body: &mut String, entries: &[(String, &str)]) {
        let mut y = self.top + 10.0;
        for (name, colour) in entries {
            let _ = writeln!(
                body,
                "<rect x=\"{:.0}\" y=\"{:.0}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\n\
                 <text x=\"{:.0}\" y=\"{y:.0}\">{}</text>",
                RIGHT + 16.0,
                y - 6.0,
                RIGHT + 36.0,
                escape(name)
            );
            y += 19.0;
        }
    }
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a place on a page does not need the last millisecond of a million years"
)]
fn real(milliseconds: i64) -> f64 {
    milliseconds as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a tick lies between two times that were whole milliseconds"
)]
fn whole(milliseconds: f64) -> i64 {
    milliseconds as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_of_a_scale_stays_on_the_panel() {
        let scale = Scale::logarithmic(0.01, 1_000.0);
        let panel = Panel::new(10.0, 100.0, "");
        for (value, y) in [(0.0, 110.0), (0.01, 110.0), (1e15, 10.0)] {
            assert!((panel.y(&scale, value) - y).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn markup_in_names_is_text() {
        assert_eq!(
            escape("<a b=\"&\">\u{1}"),
            "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}"
        );
    }
}
