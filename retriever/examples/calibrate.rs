//! Fits the confidence of a search, and shows how well it is calibrated. `calibrate [--embedder FOLDER] BEIR_FOLDER…`
//!
//! Each collection is asked its own questions, where the first hit is right when it is judged relevant, and half as many questions
//! of the other collections, which it cannot answer. For each collection the model is fitted on the others and tried on this one.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program for whoever works on ranking"
)]

mod beir;

use std::path::{Path, PathBuf};

use quoin_retriever::{Access, EmbedderKind, Retriever, RetrieverSettings, SearchRequest};

use self::beir::Judged;

const QUESTIONS: usize = 300;
const SIGNALS: usize = 2;

struct Case {
    /// A constant 1, then the signals.
    x: [f64; SIGNALS + 1],
    right: bool,
}

fn main() {
    let mut settings = RetrieverSettings::default();
    let mut folders: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    if folders[0].as_os_str() == "--embedder" {
        settings.embedder = EmbedderKind::Folder(folders[1].clone());
        folders.drain(..2);
    }
    let questions: Vec<Vec<(String, String)>> = folders
        .iter()
        .map(|folder| beir::questions(folder, QUESTIONS))
        .collect();
    let cases: Vec<Vec<Case>> = (0..folders.len())
        .map(|own| cases(&folders[own], own, &questions, &settings))
        .collect();
    for (held_out, folder) in folders.iter().enumerate() {
        let others = cases.iter().enumerate().filter(|(at, _)| *at != held_out);
        let weights = fit(&others.flat_map(|(_, cases)| cases).collect::<Vec<_>>());
        report(&folder.display().to_string(), &weights, &cases[held_out]);
    }
    let all: Vec<&Case> = cases.iter().flatten().collect();
    println!("fitted on all: {:.3?}", fit(&all));
}

fn cases(
    folder: &Path,
    own: usize,
    questions: &[Vec<(String, String)>],
    settings: &RetrieverSettings,
) -> Vec<Case> {
    let data = std::env::temp_dir().join(format!("quoin-calibrate-{}", std::process::id()));
    let retriever = Retriever::open(&data, settings.clone()).unwrap();
    retriever.put_batch(beir::documents(folder)).unwrap();
    let judged = beir::judged(folder);
    let mut cases: Vec<Case> = questions[own]
        .iter()
        .filter_map(|(id, text)| case(&retriever, text, &judged[id]))
        .collect();
    let others: Vec<&String> = questions
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != own)
        .flat_map(|(_, list)| list.iter().map(|(_, text)| text))
        .collect();
    let wanted = cases.len() / 2;
    let step = (others.len() / wanted.max(1)).max(1);
    let foreign = others.into_iter().step_by(step).take(wanted);
    cases.extend(foreign.filter_map(|text| case(&retriever, text, &Judged::new())));
    drop(retriever);
    std::fs::remove_dir_all(data).unwrap();
    cases
}

fn case(retriever: &Retriever, question: &str, relevant: &Judged) -> Option<Case> {
    let mut request = SearchRequest::new(question, 5);
    request.explain = true;
    let result = retriever.search(&request, &Access::admin()).unwrap();
    let signals = result.explanation?.signals?;
    let x = [1.0, f64::from(signals.covered), f64::from(signals.cosine)];
    let right = relevant.contains_key(result.hits[0].document.as_str());
    Some(Case { x, right })
}

fn probability(weights: &[f64; SIGNALS + 1], case: &Case) -> f64 {
    let sum: f64 = weights
        .iter()
        .zip(case.x)
        .map(|(weight, x)| weight * x)
        .sum();
    1.0 / (1.0 + (-sum).exp())
}

/// Logistic regression by gradient descent, with a little weight decay.
fn fit(cases: &[&Case]) -> [f64; SIGNALS + 1] {
    let mut weights = [0.0; SIGNALS + 1];
    for _ in 0..20_000 {
        let mut gradient = weights.map(|weight| 1e-4 * weight);
        for case in cases {
            let error = probability(&weights, case) - f64::from(u8::from(case.right));
            for (slope, x) in gradient.iter_mut().zip(case.x) {
                *slope += error * x / cases.len() as f64;
            }
        }
        for (weight, slope) in weights.iter_mut().zip(gradient) {
            *weight -= 2.0 * slope;
        }
    }
    weights
}

/// Area under the ROC curve, and the expected calibration error over ten bins.
fn report(name: &str, weights: &[f64; SIGNALS + 1], cases: &[Case]) {
    let scored: Vec<(f64, bool)> = cases
        .iter()
        .map(|case| (probability(weights, case), case.right))
        .collect();
    let (mut ordered, mut pairs) = (0.0, 0.0);
    for (right, _) in scored.iter().filter(|one| one.1) {
        for (wrong, _) in scored.iter().filter(|one| !one.1) {
            pairs += 1.0;
            ordered += if right > wrong {
                1.0
            } else if right < wrong {
                0.0
            } else {
                0.5
            };
        }
    }
    let mut bins = [(0.0, 0.0, 0.0); 10];
    for (probability, right) in &scored {
        let bin = &mut bins[((probability * 10.0) as usize).min(9)];
        bin.0 += 1.0;
        bin.1 += probability;
        bin.2 += f64::from(u8::from(*right));
    }
    let error: f64 =
        bins.iter().map(|bin| (bin.1 - bin.2).abs()).sum::<f64>() / scored.len() as f64;
    let rate = scored.iter().filter(|one| one.1).count() as f64 / scored.len() as f64;
    println!(
        "{name}: {} cases, {rate:.2} right, AUROC {:.3}, calibration error {error:.3}",
        scored.len(),
        ordered / pairs
    );
}
