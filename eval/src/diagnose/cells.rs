//! The 2 × 2 of retrieval and adapter, with the gold passages beside it, and the paired differences between its cells.

use serde::{Deserialize, Serialize};

use super::decide::Case;
use super::observation::{Cell, Context};
use super::statistics::{Share, mcnemar_exact};
use crate::metrics::rounded;

/// The share of questions that a cell has right, of those that were asked in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellShare {
    pub cell: Cell,
    pub right: Share,
}

/// Two cells over the questions that were asked in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    pub from: Cell,
    pub to: Cell,
    pub pairs: usize,
    /// Wrong in `from`, right in `to`.
    pub gained: usize,
    pub lost: usize,
    /// `(gained - lost) / pairs`.
    pub difference: f64,
    /// The exact test of `McNemar`, two-sided.
    pub p: f64,
}

pub(super) fn shares(cases: &[Case<'_>]) -> Vec<CellShare> {
    let share = |cell: Cell| {
        let asked = cases
            .iter()
            .filter(|case| case.observation.cells.contains_key(&cell));
        let (mut whole, mut part) = (0, 0);
        for case in asked {
            whole += 1;
            part += usize::from(case.is_right(cell));
        }
        (whole > 0).then(|| CellShare {
            cell,
            right: Share::of(part, whole),
        })
    };
    Cell::ALL.into_iter().filter_map(share).collect()
}

/// The adapter in each context, retrieval with and without it, and gold against what was retrieved.
pub(super) fn contrasts(cases: &[Case<'_>]) -> Vec<Contrast> {
    let mut pairs = [Context::Closed, Context::Retrieved, Context::Gold]
        .map(|context| (Cell::of(context, false), Cell::of(context, true)))
        .to_vec();
    for (from, to) in [
        (Context::Closed, Context::Retrieved),
        (Context::Retrieved, Context::Gold),
    ] {
        pairs.extend([false, true].map(|adapter| (Cell::of(from, adapter), Cell::of(to, adapter))));
    }
    pairs
        .into_iter()
        .filter_map(|(from, to)| contrast(cases, from, to))
        .collect()
}

fn contrast(cases: &[Case<'_>], from: Cell, to: Cell) -> Option<Contrast> {
    let (mut pairs, mut gained, mut lost) = (0, 0, 0);
    for case in cases {
        let cells = &case.observation.cells;
        if cells.contains_key(&from) && cells.contains_key(&to) {
            pairs += 1;
            match (case.is_right(from), case.is_right(to)) {
                (false, true) => gained += 1,
                (true, false) => lost += 1,
                _ => {}
            }
        }
    }
    let share = |part| Share::of(part, pairs).share;
    (pairs > 0).then(|| Contrast {
        from,
        to,
        pairs,
        gained,
        lost,
        difference: rounded(share(gained) - share(lost)),
        p: rounded(mcnemar_exact(gained, lost)),
    })
}
