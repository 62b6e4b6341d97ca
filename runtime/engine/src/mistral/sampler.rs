//! Chooses each token, inside mistralrs's decoding loop.
//!
//! mistralrs calls a logits processor once for each token. This one makes the choice itself and hands back logits with one
//! candidate left. So a grammar is compiled on our threads, a seed belongs to a request, cancellation takes effect at the
//! next token, and text is made from ids (mistralrs 0.8.1 trims the first delta, turns `▁` into a space and holds back a
//! last incomplete character for ever).

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use llguidance::{Matcher, api::StopReason};
use mistralrs::{CustomLogitsProcessor, Response, Tensor};
use tokio::sync::mpsc::{Receiver, UnboundedSender};

use super::vocabulary::Vocabulary;
use crate::{EngineError, Sampling};

/// What was chosen.
#[derive(Debug)]
pub(super) enum Step {
    Token { id: u32, logprob: f32 },
    End,
    Failed(EngineError),
}

/// mistralrs's answers to one request.
pub(super) type Responses = Arc<tokio::sync::Mutex<Receiver<Response>>>;

/// One request's choice of tokens.
pub(super) struct Sampler {
    state: Mutex<State>,
    cancelled: Arc<AtomicBool>,
    generated: Arc<AtomicU64>,
    /// Held open for as long as mistralrs has the request: its thread panics when it cannot answer.
    _responses: Responses,
}

struct State {
    choosing: Choosing,
    random: SplitMix,
    /// The grammar is complete.
    ended: bool,
}

/// What a request brings to the choice of its tokens.
pub(super) struct Choosing {
    pub vocabulary: Arc<Vocabulary>,
    pub matcher: Option<Matcher>,
    pub sampling: Sampling,
    pub steps: UnboundedSender<Step>,
}

impl Sampler {
    pub fn new(
        choosing: Choosing,
        cancelled: Arc<AtomicBool>,
        generated: Arc<AtomicU64>,
        responses: Responses,
    ) -> Self {
        let seed = if let Sampling::Random { seed, .. } = choosing.sampling {
            seed
        } else {
            0
        };
        let state = State {
            choosing,
            random: SplitMix(seed),
            ended: false,
        };
        Self {
            state: Mutex::new(state),
            cancelled,
            generated,
            _responses: responses,
        }
    }
}

impl CustomLogitsProcessor for Sampler {
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> mistralrs::Result<Tensor> {
        let mut values: Vec<f32> = logits.to_vec1()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = state.ended
            || self.cancelled.load(Ordering::SeqCst)
            || state.choosing.steps.is_closed();
        let choice = if over {
            Ok(None)
        } else {
            state.choose(&values)
        };
        let (id, step) = match choice {
            Ok(Some((id, logprob))) => {
                self.generated.fetch_add(1, Ordering::SeqCst);
                (Some(id), Step::Token { id, logprob })
            }
            Ok(None) => (state.choosing.vocabulary.ends.first().copied(), Step::End),
            Err(error) => (None, Step::Failed(error)),
        };
        // The receiver may have gone: then the request is cancelled already.
        let _ = state.choosing.steps.send(step);
        if !over
            && state
                .choosing
                .matcher
                .as_ref()
                .is_some_and(Matcher::is_stopped)
        {
            // The caller need not wait for the step in which mistralrs learns of it.
            state.ended = true;
            let _ = state.choosing.steps.send(Step::End);
        }
        let Some(id) = id else {
            return Err(std::io::Error::other("the generation was ended").into());
        };
        values.fill(f32::NEG_INFINITY);
        if let Some(chosen) = values.get_mut(index(id)) {
            *chosen = 0.0;
        }
        let length = values.len();
        Tensor::from_vec(values, length, logits.device())
    }
}

impl State {
    /// A token and its log-probability; `None` when the output ends here.
    fn choose(&mut self, logits: &[f32]) -> Result<Option<(u32, f32)>, EngineError> {
        let known = &logits[..logits.len().min(self.choosing.vocabulary.size())];
        let favourite =
            greatest(known.iter().copied().enumerate()).ok_or_else(|| EngineError::Generation {
                reason: "the model's output is not a number".to_owned(),
            })?;
        let chosen = match self.choosing.sampling {
            Sampling::Greedy => self.greedy(known, favourite)?,
            Sampling::Random {
                temperature, top_p, ..
            } => {
                let candidates = self.candidates(known)?;
                let id = draw(
                    candidates.clone(),
                    temperature,
                    top_p,
                    self.random.next_unit(),
                );
                id.map(|id| (id, logprob_among(&candidates, id)))
            }
        };
        let Some((id, logprob)) =
            chosen.filter(|(id, _)| !self.choosing.vocabulary.ends.contains(id))
        else {
            return Ok(None);
        };
        if let Some(matcher) = &mut self.choosing.matcher {
            let consumed = matcher.consume_token(id);
            consumed.map_err(|_| grammar_failed(matcher))?;
        }
        Ok(Some((id, logprob)))
    }

    fn greedy(
        &mut self,
        logits: &[f32],
        favourite: u32,
    ) -> Result<Option<(u32, f32)>, EngineError> {
        if self.allows(favourite) {
            return Ok(Some((favourite, logprob(logits, index(favourite)))));
        }
        let candidates = self.candidates(logits)?;
        let best = candidates
            .iter()
            .copied()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        Ok(best.map(|(id, _)| (id, logprob_among(&candidates, id))))
    }

    /// Cheaper than a whole mask, and enough when the model follows the grammar by itself.
    fn allows(&mut self, id: u32) -> bool {
        let Some(matcher) = &mut self.choosing.matcher else {
            return true;
        };
        if matcher.is_stopped() {
            return false;
        }
        if self.choosing.vocabulary.ends.contains(&id) {
            return matcher.is_accepting().unwrap_or(false);
        }
        matcher.validate_tokens(&[id]).is_ok_and(|valid| valid == 1)
    }

    /// What the grammar allows, with its logits. Empty when the grammar is complete.
    fn candidates(&mut self, logits: &[f32]) -> Result<Vec<(u32, f32)>, EngineError> {
        let all = (0..)
            .zip(logits.iter().copied())
            .filter(|(_, logit)| !logit.is_nan());
        let Some(matcher) = &mut self.choosing.matcher else {
            return Ok(all.collect());
        };
        if matcher.is_stopped() {
            return Ok(Vec::new());
        }
        let accepting = matcher.is_accepting();
        let accepting = accepting.map_err(|_| grammar_failed(matcher))?;
        let mask = matcher.compute_mask();
        let mask = mask.map_err(|_| grammar_failed(matcher))?;
        let ends = &self.choosing.vocabulary.ends;
        Ok(all
            .filter(|(id, _)| {
                if ends.contains(id) {
                    accepting
                } else {
                    mask.is_allowed(*id)
                }
            })
            .collect())
    }
}

/// Why a grammar that compiled cannot go on. llguidance's own words are left out: they can hold text that was decoded.
fn grammar_failed(matcher: &Matcher) -> EngineError {
    match matcher.stop_reason() {
        StopReason::LexerTooComplex | StopReason::ParserTooComplex => {
            EngineError::UnsupportedConstraint {
                reason: "there are too many ways to go on at one place: ask for fewer properties or alternatives"
                    .to_owned(),
            }
        }
        reason => EngineError::UnsupportedConstraint {
            reason: format!("the grammar cannot go on ({reason}): a simpler pattern may help"),
        },
    }
}

fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// The first of the greatest, as PyTorch's `argmax`.
fn greatest(values: impl Iterator<Item = (usize, f32)>) -> Option<u32> {
    let numbers = values.filter(|(_, value)| !value.is_nan());
    let best = numbers.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    u32::try_from(best.0).ok()
}

/// Natural log of the softmax at one place.
fn logprob(logits: &[f32], place: usize) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    logits
        .get(place)
        .map_or(f32::NEG_INFINITY, |logit| logit - largest - sum.ln())
}

/// [`logprob`] among what the grammar allows: a token that it forces has 0.
fn logprob_among(candidates: &[(u32, f32)], id: u32) -> f32 {
    let logits: Vec<f32> = candidates.iter().map(|(_, logit)| *logit).collect();
    let place = candidates
        .iter()
        .position(|(candidate, _)| *candidate == id);
    place.map_or(f32::NEG_INFINITY, |place| logprob(&logits, place))
}

/// Nucleus sampling (Holtzman et al. 2020, <https://arxiv.org/abs/1904.09751>): of the most likely candidates that together
/// have the probability `top_p`, the one in which `point`, in 0..1, falls.
fn draw(mut candidates: Vec<(u32, f32)>, temperature: f64, top_p: f64, point: f64) -> Option<u32> {
    candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let largest = f64::from(candidates.first()?.1);
    let weight = |logit: f32| ((f64::from(logit) - largest) / temperature).exp();
    let total: f64 = candidates.iter().map(|(_, logit)| weight(*logit)).sum();
    let mut kept = 0.0;
    let mut nucleus = 0;
    while nucleus < candidates.len() && (nucleus == 0 || kept < top_p * total) {
        kept += weight(candidates[nucleus].1);
        nucleus += 1;
    }
    let mut left = point * kept;
    for (id, logit) in &candidates[..nucleus] {
        left -= weight(*logit);
        if left < 0.0 {
            return Some(*id);
        }
    }
    candidates.get(nucleus - 1).map(|last| last.0)
}

/// `SplitMix64` (Steele, Lea and Flood 2014, <https://doi.org/10.1145/2714064.2660195>).
struct SplitMix(u64);

impl SplitMix {
    fn next_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_nucleus_holds_the_likeliest_and_the_point_chooses_within() {
        let candidates = || vec![(7, 0.5_f32.ln()), (3, 0.3_f32.ln()), (9, 0.2_f32.ln())];
        let at = |top_p, point| draw(candidates(), 1.0, top_p, point).unwrap();
        assert_eq!(
            [
                at(1.0, 0.0),
                at(1.0, 0.49),
                at(1.0, 0.51),
                at(1.0, 0.79),
                at(1.0, 0.81),
                at(1.0, 0.9999)
            ],
            [7, 7, 3, 3, 9, 9]
        );
        assert_eq!([at(0.5, 0.99), at(0.6, 0.7), at(0.001, 0.99)], [7, 3, 7]);
        assert_eq!(draw(candidates(), 0.05, 1.0, 0.99), Some(7));
        assert_eq!(draw(Vec::new(), 1.0, 1.0, 0.5), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_spread_over_the_unit_interval() {
        let numbers = |seed| {
            let mut random = SplitMix(seed);
            (0..1000).map(|_| random.next_unit()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(5), numbers(5));
        assert_ne!(numbers(5), numbers(6));
        let mean = numbers(5).iter().sum::<f64>() / 1000.0;
        assert!(
            (0.45..0.55).contains(&mean)
                && numbers(5).iter().all(|number| (0.0..1.0).contains(number))
        );
    }

    #[test]
    fn logprobs_are_of_the_softmax() {
        let logits = [1.0, 2.0, 3.0];
        let sum: f32 = (0..3).map(|place| logprob(&logits, place).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6 && (logprob(&logits, 2) + 0.407_606).abs() < 1e-4);
        assert_eq!(
            greatest([f32::NAN, 1.0, 1.0].into_iter().enumerate()),
            Some(1)
        );
    }
}
