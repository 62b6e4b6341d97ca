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
    let says_nothing = |bytes: Range<usize>| citable(&text[bytes]).is_empty();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for sentence in &passage.sentences {
        let bytes = &sentence.bytes;
        match runs.last_mut() {
            Some(run) if says_nothing(run.end..bytes.start) => run.end = bytes.end,
            _ => runs.push(bytes.clone()),
        }
    }
    if let Some(first) = runs.first_mut().filter(|run| says_nothing(0..run.start)) {
        first.start = 0;
    }
    if let Some(last) = runs
        .last_mut()
        .filter(|run| says_nothing(run.end..text.len()))
    {
        last.end = text.len();
    }
    let point = |byte: usize| passage.hit.start + text[..byte].chars().count();
    runs.into_iter()
        .map(|run| TracePassage {
            start: point(run.start),
            end: point(run.end),
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
