//! Which passages an answer says that it was shown.

use std::ops::Range;

use quoin_retriever::Hit;

use crate::answer::citable::citable;
use crate::answer::prompt::PromptPassage;
use crate::answer::types::TracePassage;

/// A whole passage.
pub(crate) fn whole(hit: &Hit) -> TracePassage {
    TracePassage {
        document: hit.document.to_string(),
        start: hit.start,
        end: hit.end,
        score: hit.score,
    }
}

/// The parts of the passage that the model was shown: runs of sentences between which no other was left out.
pub(crate) fn shown(passage: &PromptPassage) -> Vec<TracePassage> {
    let text = &passage.hit.text;
    let all = citable(text);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for sentence in &passage.sentences {
        let Some(index) = all
            .iter()
            .position(|bytes| bytes.start == sentence.bytes.start)
        else {
            continue;
        };
        match runs.last_mut() {
            Some(run) if run.end == index => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    let start = |first: usize| match first {
        0 => 0,
        _ => all[first].start,
    };
    let end = |after: usize| match after {
        after if after == all.len() => text.len(),
        after => all[after - 1].end,
    };
    let point = |byte: usize| passage.hit.start + text[..byte].chars().count();
    runs.into_iter()
        .map(|run| TracePassage {
            start: point(start(run.start)),
            end: point(end(run.end)),
            ..whole(&passage.hit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::shown;
    use crate::answer::citable::citable;
    use crate::answer::prompt::{PromptPassage, PromptSentence, tests::hit};

    fn traced(text: &str, indices: &[usize]) -> Vec<String> {
        let hit = hit("a.md", text);
        let sentences = citable(text);
        let passage = PromptPassage {
            number: 1,
            rank: 0,
            hit,
            sentences: indices
                .iter()
                .map(|&index| PromptSentence {
                    marker: index + 1,
                    bytes: sentences[index].clone(),
                })
                .collect(),
        };
        let characters: Vec<char> = text.chars().collect();
        shown(&passage)
            .iter()
            .map(|run| characters[run.start..run.end].iter().collect())
            .collect()
    }

    #[test]
    fn a_passage_shown_whole_is_traced_whole_with_what_frames_it() {
        let text = "# Fées\n\nOne is one.\n\n## Two\n\nTwo is two. Three is three.";
        assert_eq!(traced(text, &[0, 1, 2]), [text]);
    }

    #[test]
    fn sentences_that_were_left_out_part_the_runs() {
        let text = "# Fées\n\nOne is one. Two is two. Three is three. Four is four.";
        assert_eq!(
            traced(text, &[0, 2, 3]),
            ["# Fées\n\nOne is one.", "Three is three. Four is four."]
        );
        assert_eq!(traced(text, &[1]), ["Two is two."]);
    }
}
