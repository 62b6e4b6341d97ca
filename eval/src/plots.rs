//! Drawings for the pages: inline SVG with a title and a description, coloured by the page's style, without scripts.
//!
//! Everything from outside is escaped here; callers hand in plain text.

use std::fmt::Write as _;

use crate::views::escape;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 46.0;

/// What lies along one side of a plot.
pub(crate) struct Axis {
    label: String,
    low: f64,
    high: f64,
    is_logarithmic: bool,
    /// Values and what is written at them.
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to 1, written in percent.
    pub fn shares(label: &str) -> Self {
        let ticks = [0.0, 0.25, 0.5, 0.75, 1.0];
        Self {
            label: label.to_owned(),
            low: 0.0,
            high: 1.0,
            is_logarithmic: false,
            ticks: ticks
                .map(|tick| (tick, format!("{:.0}", tick * 100.0)))
                .into(),
        }
    }

    /// Around the values from `low` to `high`, with about five round ticks. What is infinite or no range becomes a unit around it.
    pub fn values(label: &str, low: f64, high: f64) -> Self {
        let (low, high) = ordered(low, high);
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let mut ticks = Vec::new();
        let mut tick = first;
        while tick <= last {
            ticks.push((tick * step, short(tick * step)));
            tick += 1.0;
        }
        Self {
            label: label.to_owned(),
            low: first * step,
            high: last * step,
            is_logarithmic: false,
            ticks,
        }
    }

    /// From 0 to the number of things, which ends the axis.
    pub fn counts(label: &str, number: usize) -> Self {
        let high = crate::metrics::count(number.max(1));
        let mut axis = Self::values(label, 0.0, high);
        axis.ticks.retain(|(tick, _)| *tick <= high);
        Self { high, ..axis }
    }

    /// Values above 0 by their powers of ten, with ticks at 1, 2 and 5.
    pub fn logarithmic(label: &str, low: f64, high: f64) -> Self {
        let (low, high) = ordered(low.max(1e-3), high.max(2e-3));
        let mut ticks = Vec::new();
        let mut power = 10_f64.powf(low.log10().floor());
        while power <= high * 1.000_1 {
            for digit in [1.0, 2.0, 5.0] {
                let tick = digit * power;
                if (low * 0.999..=high * 1.001).contains(&tick) {
                    ticks.push((tick, short(tick)));
                }
            }
            power *= 10.0;
        }
        // Over many powers of ten only those are written.
        if ticks.len() > 8 {
            ticks.retain(|(tick, _)| (tick.log10() - tick.log10().round()).abs() < 1e-9);
        }
        Self {
            label: label.to_owned(),
            low,
            high,
            is_logarithmic: true,
            ticks,
        }
    }

    /// One place for each name, the first on top: places are 0, -1, -2 and so on.
    pub fn names<'names>(names: impl IntoIterator<Item = &'names str>) -> Self {
        let ticks: Vec<(f64, String)> = names
            .into_iter()
            .enumerate()
            .map(|(index, name)| (-crate::metrics::count(index), name.to_owned()))
            .collect();
        let last = ticks.last().map_or(0.0, |(place, _)| *place);
        Self {
            label: String::new(),
            low: last - 0.7,
            high: 0.7,
            is_logarithmic: false,
            ticks,
        }
    }

    /// From 0 to 1 within the axis; what is beyond it lies on its end.
    fn part(&self, value: f64) -> f64 {
        let part = if self.is_logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// A drawing with two axes; what is added later lies on top.
pub(crate) struct Plot {
    title: String,
    description: String,
    x: Axis,
    y: Axis,
    left: f64,
    body: String,
    keys: String,
}

impl Plot {
    /// The description is shown below the title, and read out for the drawing.
    pub fn new(title: &str, description: &str, x: Axis, y: Axis) -> Self {
        let longest = y.ticks.iter().map(|(_, text)| text.chars().count()).max();
        let left = (crate::metrics::count(longest.unwrap_or(0)) * 7.0 + 18.0).clamp(44.0, 150.0);
        Self {
            title: title.to_owned(),
            description: description.to_owned(),
            x,
            y,
            left,
            body: String::new(),
            keys: String::new(),
        }
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + (WIDTH - self.left - RIGHT) * self.x.part(x),
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * self.y.part(y),
        )
    }

    /// A line through the points; `class` is `a`, `b` or `c`, which differ in colour and dashes. A name gets a key.
    pub fn line(&mut self, class: &str, name: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let mut drawn = String::new();
        for (x, y) in points {
            let (x, y) = self.at(x, y);
            let _ = write!(drawn, "{x:.1},{y:.1} ");
        }
        let _ = write!(
            self.body,
            "<polyline class=\"series {class}\" points=\"{}\"/>",
            drawn.trim_end()
        );
        if !name.is_empty() {
            let _ = write!(
                self.keys,
                "<span class=\"key\"><svg viewBox=\"0 0 28 8\" aria-hidden=\"true\"><path class=\"series {class}\" d=\"M0 4H28\"/></svg>{}</span>",
                escape(name)
            );
        }
    }

    /// A straight line of `class` (`zero`, `diagonal`) from one point to another.
    pub fn rule(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (self.at(from.0, from.1), self.at(to.0, to.1));
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    /// A vertical interval with its middle at `x`.
    pub fn upright(&mut self, x: f64, [low, middle, high]: [f64; 3]) {
        let ((x, low), (_, middle), (_, high)) =
            (self.at(x, low), self.at(x, middle), self.at(x, high));
        let _ = write!(
            self.body,
            "<line class=\"whisker\" x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\"/><circle class=\"dot\" cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"4\"/>"
        );
    }

    /// A horizontal interval at `y`, with a text above its middle.
    pub fn across(&mut self, y: f64, [low, middle, high]: [f64; 3], text: &str) {
        let ((low, y), (middle, _), (high, _)) =
            (self.at(low, y), self.at(middle, y), self.at(high, y));
        self.body.push_str(&whisker([low, middle, high], y));
        let _ = write!(
            self.body,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y - 9.0,
            escape(text)
        );
    }

    /// A bar from 0 to `y` between two places.
    pub fn bar(&mut self, from: f64, to: f64, y: f64) {
        let ((x1, top), (x2, zero)) = (self.at(from, y.max(0.0)), self.at(to, y.min(0.0)));
        let class = if y < 0.0 { "down" } else { "up" };
        let _ = write!(
            self.body,
            "<path class=\"{class}\" d=\"M{x1:.2} {top:.1}H{x2:.2}V{zero:.1}H{x1:.2}Z\"/>"
        );
    }

    /// A point with its name beside it, on the side where there is room.
    pub fn mark(&mut self, class: &str, name: &str, x: f64, y: f64) {
        let is_right = self.x.part(x) > 0.6;
        let is_high = self.y.part(y) > 0.85;
        let (x, y) = self.at(x, y);
        let (shift, anchor) = if is_right {
            (-9.0, "end")
        } else {
            (9.0, "start")
        };
        let _ = write!(
            self.body,
            "<circle class=\"mark {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/><text class=\"mark {class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            x + shift,
            if is_high { y + 18.0 } else { y - 7.0 },
            escape(name)
        );
    }

    /// The figure, with an id made of its title: titles differ within a page.
    pub fn finish(self) -> String {
        let id: String = self
            .title
            .chars()
            .map(|character| match character {
                letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
                _ => '-',
            })
            .collect();
        let (title, description) = (escape(&self.title), escape(&self.description));
        let keys = if self.keys.is_empty() {
            String::new()
        } else {
            format!("<div>{}</div>", self.keys)
        };
        format!(
            "<figure><figcaption>{title}<small>{description}</small></figcaption>{keys}\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\"><title id=\"{id}-title\">{title}</title>\
             <desc id=\"{id}-text\">{description}</desc>{}{}</svg></figure>\n",
            self.frame(),
            self.body
        )
    }

    fn frame(&self) -> String {
        let (left, right) = (self.left, WIDTH - RIGHT);
        let floor = HEIGHT - BOTTOM;
        let mut frame = String::new();
        for (value, text) in &self.y.ticks {
            let (_, y) = self.at(self.x.low, *value);
            let _ = write!(
                frame,
                "<path class=\"grid-line\" d=\"M{left} {y:.1}H{right}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 4.0,
                escape(text)
            );
        }
        for (value, text) in &self.x.ticks {
            let (x, _) = self.at(*value, self.y.low);
            let _ = write!(
                frame,
                "<path class=\"grid-line\" d=\"M{x:.1} {floor}v4\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                floor + 17.0,
                escape(text)
            );
        }
        let _ = write!(
            frame,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text x=\"0\" y=\"12\">{}</text>",
            left.midpoint(right),
            HEIGHT - 8.0,
            escape(&self.x.label),
            escape(&self.y.label)
        );
        frame
    }
}

/// A horizontal interval and its middle, in pixels.
fn whisker([low, middle, high]: [f64; 3], y: f64) -> String {
    format!(
        "<line class=\"whisker\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><circle class=\"dot\" cx=\"{middle:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
    )
}

/// An interval around no change, for a cell of a table: `reach` is the value at the ends. Its class colours it.
pub(crate) fn difference(class: &str, label: &str, interval: [f64; 3], reach: f64) -> String {
    const ROOM: f64 = 180.0;
    let reach = if reach > 0.0 { reach } else { 1.0 };
    let place = |value: f64| ROOM / 2.0 + (value / reach).clamp(-1.0, 1.0) * (ROOM / 2.0 - 6.0);
    format!(
        "<svg class=\"{class}\" width=\"{ROOM}\" height=\"20\" role=\"img\" aria-label=\"{}\"><line class=\"zero\" x1=\"{zero}\" x2=\"{zero}\" y1=\"0\" y2=\"20\"/>{}</svg>",
        escape(label),
        whisker(interval.map(place), 10.0),
        zero = ROOM / 2.0
    )
}

fn ordered(low: f64, high: f64) -> (f64, f64) {
    if low.is_finite() && high.is_finite() && low < high {
        (low, high)
    } else if low.is_finite() {
        (
            low - 0.5 * low.abs().max(1e-3),
            low + 0.5 * low.abs().max(1e-3),
        )
    } else {
        (0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|round| *round >= step * 0.999)
        .unwrap_or(power * 10.0)
}

/// Without zeros that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" | "" => "0".to_owned(),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let axis = Axis::values("", 0.31, 0.52);
        assert_eq!(texts(&axis), ["0.3", "0.4", "0.5", "0.6"]);
        assert!(axis.low <= 0.31 && axis.high >= 0.52);
        assert_eq!(
            texts(&Axis::values("", -1.0, 1.0)),
            ["-1", "-0.5", "0", "0.5", "1"]
        );
        assert_eq!(
            texts(&Axis::logarithmic("", 2.0, 40.0)),
            ["2", "5", "10", "20"]
        );
        assert_eq!(
            texts(&Axis::logarithmic("", 0.5, 20_000.0)),
            ["1", "10", "100", "1000", "10000"]
        );
    }

    #[test]
    fn equal_or_unknown_ends_leave_an_axis_with_room() {
        for (low, high) in [
            (3.0, 3.0),
            (0.0, 0.0),
            (f64::NAN, 1.0),
            (1.0, f64::INFINITY),
        ] {
            for axis in [
                Axis::values("", low, high),
                Axis::logarithmic("", low, high),
            ] {
                assert!(axis.low < axis.high, "{low} {high}");
                assert!((0.0..=1.0).contains(&axis.part(low)));
            }
        }
    }

    #[test]
    fn a_plot_says_what_it_shows_and_draws_within_its_box() {
        let mut plot = Plot::new("Of <a>", "Two & more", Axis::shares("x"), Axis::shares("y"));
        plot.line("a", "<name>", [(0.0, 0.0), (1.0, 2.0), (f64::NAN, 0.5)]);
        plot.mark("now", "now", 1.0, 1.0);
        let svg = plot.finish();
        assert!(svg.contains("<title id=\"of--a--title\">Of &lt;a&gt;</title>"));
        assert!(svg.contains("<desc id=\"of--a--text\">Two &amp; more</desc>"));
        assert!(
            svg.contains("points=\"44.0,214.0 500.0,26.0 44.0,120.0\""),
            "{svg}"
        );
        assert!(svg.contains("&lt;name&gt;") && svg.contains("text-anchor=\"end\">now"));
    }
}
