//! The picture of a rollout.

use quoin_adapters::rollout::{Arm, Status, plot};

use crate::support::{ABSTAINED, FINE, Traffic, plan};

fn drawn() -> (String, Vec<Status>) {
    let mut traffic = Traffic::of(plan());
    let mut points = vec![traffic.rollout.status(0)];
    for _ in 0..40 {
        traffic.ask(25, |arm, number| {
            if arm == Arm::Canary && number % 3 == 0 {
                ABSTAINED
            } else {
                FINE
            }
        });
        points.push(traffic.rollout.status(traffic.at_ms));
    }
    (plot(&points, &traffic.transitions), points)
}

#[test]
fn a_picture_is_one_well_formed_svg_without_scripts_or_anything_from_outside() {
    let (svg, _) = drawn();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert!(svg.ends_with("</svg>\n"));
    for forbidden in ["<script", "href", "url(", "@import", "NaN", "inf"] {
        assert!(!svg.contains(forbidden), "{forbidden}");
    }
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    assert!(svg.contains("prefers-color-scheme: dark"));
}

#[test]
fn it_names_what_happened_and_why() {
    let (svg, points) = drawn();
    assert!(points.last().unwrap().state.is_final());
    for text in [
        "champion: support@1 → support@2",
        "abort: aborted (guardrail abstention)",
        "aborts at 140",
        "traffic_split",
    ] {
        assert!(svg.contains(text), "{text}");
    }
}

#[test]
fn names_are_text_and_not_markup() {
    let (_, mut points) = drawn();
    points.last_mut().unwrap().id = "</text><script>".to_owned();
    assert!(!plot(&points, &[]).contains("<script"));
}

#[test]
fn nothing_and_a_single_moment_can_be_drawn() {
    assert!(plot(&[], &[]).contains("Nothing has happened yet"));
    let (_, points) = drawn();
    let svg = plot(&points[..1], &[]);
    assert!(!svg.contains("NaN") && svg.ends_with("</svg>\n"));
}
