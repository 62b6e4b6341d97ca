//! Documents, lists and searches change in parallel threads, and nothing that a caller is told goes beyond what it may read.
//!
//! Every change is noted with a tick before it begins and one after it returned. A search may see any state that held at some
//! moment while it ran, and no other: once `change_as` has returned, the next search obeys.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quoin_retriever::{
    Access, CompactionSettings, Content, DocumentChange, DocumentId, DocumentInput, Hit, Page,
    Retriever, RetrieverSettings, SearchRequest, SearchResult,
};
use serde_json::Value;

use crate::{EndsLoops, id, next};

const DOCUMENTS: usize = 12;
const WRITERS: usize = 3;
const ROUNDS: usize = 5;
const CHANGES: u64 = 40;
const TOKENS: [&str; 4] = ["public", "group:hr", "group:it", "user:ann"];
const WORDS: [&str; 8] = [
    "harbour", "ledger", "pump", "velvet", "quartz", "lantern", "orchard", "saddle",
];

/// A document as it was put.
#[derive(Clone, Debug)]
struct State {
    list: Vec<&'static str>,
    text: String,
}

impl State {
    fn shows(&self, caller: &[&str], text: &str) -> bool {
        self.is_for(caller) && self.text.contains(text)
    }

    fn is_for(&self, caller: &[&str]) -> bool {
        self.list
            .iter()
            .any(|token| *token == "public" || caller.contains(token))
    }
}

/// A change of one document: what it becomes, and the ticks between which that happened.
struct Change {
    state: Option<State>,
    begun: u64,
    /// The largest number while it has not returned.
    done: u64,
    /// Known once it has returned.
    passages: u64,
}

/// All changes of all documents, in order.
struct Ledger {
    clock: AtomicU64,
    documents: Vec<Mutex<Vec<Change>>>,
}

impl Ledger {
    fn new() -> Self {
        Self {
            clock: AtomicU64::new(1),
            documents: (0..DOCUMENTS).map(|_| Mutex::default()).collect(),
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn begin(&self, document: usize, state: Option<State>) {
        let begun = self.tick();
        self.documents[document].lock().unwrap().push(Change {
            state,
            begun,
            done: u64::MAX,
            passages: 0,
        });
    }

    fn end(&self, document: usize, passages: u64) {
        let mut changes = self.documents[document].lock().unwrap();
        let change = changes.last_mut().unwrap();
        change.passages = passages;
        change.done = self.tick();
    }

    fn last(&self, document: usize) -> Option<State> {
        let changes = self.documents[document].lock().unwrap();
        changes.last().and_then(|change| change.state.clone())
    }

    /// What `look` says of the states that a document may have had between two ticks, and of how many passages.
    fn states<T>(
        &self,
        document: usize,
        span: (u64, u64),
        mut look: impl FnMut(Option<&State>, Option<u64>) -> T,
    ) -> Vec<T> {
        let changes = self.documents[document].lock().unwrap();
        let mut seen = Vec::new();
        if changes.first().is_none_or(|first| first.done >= span.0) {
            seen.push(look(None, Some(0)));
        }
        for (place, change) in changes.iter().enumerate() {
            let next = changes.get(place + 1);
            if change.begun <= span.1 && next.is_none_or(|next| next.done >= span.0) {
                let known = (change.done != u64::MAX).then_some(change.passages);
                seen.push(look(change.state.as_ref(), known));
            }
        }
        seen
    }

    fn could_see(&self, name: &DocumentId, text: &str, caller: &[&str], span: (u64, u64)) -> bool {
        let document: usize = name.as_str()[1..].parse().unwrap();
        let shows = |state: Option<&State>, _| state.is_some_and(|s| s.shows(caller, text));
        self.states(document, span, shows).contains(&true)
    }

    /// The fewest and the most passages that a caller could have searched.
    fn countable(&self, caller: &[&str], span: (u64, u64)) -> (u64, u64) {
        let mut bounds = (0, 0);
        for document in 0..DOCUMENTS {
            let counted = self.states(document, span, |state, passages| match state {
                Some(state) if state.is_for(caller) => (passages.unwrap_or(0), passages),
                _ => (0, Some(0)),
            });
            let fewest = counted.iter().map(|(fewest, _)| *fewest).min();
            // What is being written has a few passages at most.
            let most = counted.iter().map(|(_, most)| most.unwrap_or(16)).max();
            bounds.0 += fewest.unwrap_or(0);
            bounds.1 += most.unwrap_or(0);
        }
        bounds
    }
}

fn name(document: usize) -> DocumentId {
    id(&format!("d{document}"))
}

fn subset(bits: u64) -> Vec<&'static str> {
    let has = |bit: &usize| bits >> bit & 1 == 1;
    (0..TOKENS.len())
        .filter(has)
        .map(|bit| TOKENS[bit])
        .collect()
}

fn below(state: &mut u64, bound: u64) -> u64 {
    next(state) % bound
}

fn word(state: &mut u64) -> &'static str {
    WORDS[usize::try_from(below(state, 8)).unwrap()]
}

/// One in four texts says what another one says, one in four has several passages.
fn any_text(state: &mut u64, unique: u64) -> String {
    let kind = below(state, 4);
    if kind == 0 {
        return format!("the {} is kept beside the {}", word(state), WORDS[0]);
    }
    let words = if kind == 1 { 120 } else { 6 };
    let mut text = format!("v{unique}");
    for _ in 0..words {
        text.push(' ');
        text.push_str(word(state));
    }
    text
}

fn settings() -> RetrieverSettings {
    let mut settings = RetrieverSettings {
        compaction: CompactionSettings {
            delta_passages: 12,
            ..CompactionSettings::default()
        },
        ..RetrieverSettings::default()
    };
    settings.passages.target_tokens = 40;
    settings.passages.max_tokens = 60;
    settings
}

/// Changes the documents of one writer at random.
fn write(retriever: &Retriever, ledger: &Ledger, writer: usize, state: &mut u64) {
    let own = (DOCUMENTS / WRITERS) as u64;
    for _ in 0..CHANGES {
        let document = writer + WRITERS * usize::try_from(below(state, own)).unwrap();
        let name = name(document);
        let list = subset(below(state, 16));
        let acl: Vec<String> = list.iter().map(ToString::to_string).collect();
        let present = ledger.last(document);
        match (below(state, 10), present) {
            (0, _) if writer == 0 => drop(retriever.rebuild().unwrap()),
            (1, Some(_)) => {
                ledger.begin(document, None);
                retriever.delete(&name, &Access::admin()).unwrap();
                ledger.end(document, 0);
            }
            (2..7, Some(known)) => {
                ledger.begin(document, Some(State { list, ..known }));
                let change = DocumentChange {
                    acl: Some(Some(acl)),
                    ..DocumentChange::default()
                };
                let stored = retriever.change_as(&name, change, &Access::admin());
                ledger.end(document, stored.unwrap().passages as u64);
            }
            _ => {
                let text = any_text(state, ledger.tick());
                let input = DocumentInput {
                    acl: Some(acl),
                    ..DocumentInput::new(name, Content::text(&*text))
                };
                ledger.begin(document, Some(State { list, text }));
                let stored = retriever.put(input).unwrap();
                ledger.end(document, stored.passages as u64);
            }
        }
    }
}

fn any_request(state: &mut u64) -> SearchRequest {
    let top_k = [1, 3, 40][usize::try_from(below(state, 3)).unwrap()];
    let mut request = SearchRequest::new(format!("{} {}", word(state), word(state)), top_k);
    request.explain = true;
    request.rerank = Some(below(state, 2) == 0);
    request
}

/// Asks as a caller at random, and holds all that is answered against what could be read meanwhile.
fn search(retriever: &Retriever, ledger: &Ledger, state: &mut u64) {
    let caller = subset(below(state, 16));
    let access = Access::of(caller.clone());
    let begun = ledger.tick();
    let result = retriever.search(&any_request(state), &access).unwrap();
    let span = (begun, ledger.tick());
    let may_see = |document: &DocumentId, text: &str, what: &str| {
        assert!(
            ledger.could_see(document, text, &caller, span),
            "{what}: `{text}` of `{document}` for {caller:?}"
        );
    };
    let explanation = result.explanation.as_ref().unwrap();
    for hit in &result.hits {
        may_see(&hit.document, &hit.text, "a hit");
        for other in hit.duplicates.iter().chain(&hit.duplicate_of) {
            may_see(&document_of(other.as_str()), "", "a duplicate");
        }
    }
    for dropped in &explanation.dropped {
        may_see(&dropped.document, "", "dropped");
        if let Some(other) = &dropped.duplicate_of {
            may_see(&document_of(other.as_str()), "", "a duplicate");
        }
    }
    let (fewest, most) = ledger.countable(&caller, span);
    let counted = explanation.searchable_passages;
    assert!(
        (fewest..=most).contains(&counted),
        "{counted} passages, not {fewest} to {most}, for {caller:?}"
    );
    assert!(explanation.bm25_candidates as u64 <= counted);
    assert!(explanation.vector_candidates as u64 <= counted);
    read(retriever, ledger, &caller, &access);
    beside(retriever, ledger, &caller, &access, &result.hits);
}

/// Listings and texts.
fn read(retriever: &Retriever, ledger: &Ledger, caller: &[&str], access: &Access) {
    let begun = ledger.tick();
    let listed = retriever.documents(access, &Page::default()).unwrap();
    let span = (begun, ledger.tick());
    for document in listed {
        assert!(
            ledger.could_see(&document.id, "", caller, span),
            "listed: {document:?}"
        );
    }
    for document in 0..DOCUMENTS {
        let begun = ledger.tick();
        let read = retriever.text(&name(document), access);
        let span = (begun, ledger.tick());
        if let Ok(text) = read {
            assert!(
                ledger.could_see(&name(document), &text, caller, span),
                "read: {text}"
            );
        }
    }
}

/// Neighbours and rankings, also of what another caller has found.
fn beside(retriever: &Retriever, ledger: &Ledger, caller: &[&str], access: &Access, hits: &[Hit]) {
    let request = SearchRequest::new(WORDS[1], 40);
    let found_by_admin = retriever.search(&request, &Access::admin()).unwrap().hits;
    for hits in [hits, found_by_admin.as_slice()] {
        let begun = ledger.tick();
        let neighbours = retriever.neighbours(hits, access).unwrap();
        let span = (begun, ledger.tick());
        for hit in neighbours {
            assert!(
                ledger.could_see(&hit.document, &hit.text, caller, span),
                "a neighbour: {hit:?}"
            );
        }
    }
    let begun = ledger.tick();
    let rankings = retriever.rankings(WORDS[2], 40, access).unwrap();
    let span = (begun, ledger.tick());
    let stages = [
        rankings.bm25,
        rankings.vector,
        rankings.fused,
        rankings.reranked,
    ];
    for (document, _) in stages.iter().flatten() {
        assert!(
            ledger.could_see(document, "", caller, span),
            "ranked: {document}"
        );
    }
}

fn document_of(passage: &str) -> DocumentId {
    id(passage.rsplit_once('#').unwrap().0)
}

/// A retriever that never held anything but what a caller may read, put in the same order.
fn of_readable_alone(
    folder: &Path,
    ledger: &Ledger,
    caller: &[&str],
    order: &[usize],
) -> Retriever {
    let alone = Retriever::open(folder, settings()).unwrap();
    for document in order {
        if let Some(state) = ledger.last(*document)
            && state.is_for(caller)
        {
            let acl = state.list.iter().map(ToString::to_string).collect();
            let input = DocumentInput {
                acl: Some(acl),
                ..DocumentInput::new(name(*document), Content::text(&*state.text))
            };
            alone.put(input).unwrap();
        }
    }
    alone
}

/// The documents in the order in which their passages were stored, by which equal scores are put in order.
fn stored_order(folder: &Path) -> Vec<usize> {
    let catalogue = rusqlite::Connection::open(folder.join("quoin.db")).unwrap();
    let mut statement = catalogue
        .prepare("SELECT id FROM documents JOIN passages ON document = ordinal GROUP BY id ORDER BY min(key)")
        .unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0));
    rows.unwrap()
        .map(|id| id.unwrap()[1..].parse().unwrap())
        .collect()
}

/// All that a result says, but for what tells how often something was written and how long it took.
fn told(result: &SearchResult) -> Value {
    let mut told = serde_json::to_value(result).unwrap();
    for field in ["generation", "timings"] {
        told[field].take();
    }
    for hit in told["hits"].as_array_mut().unwrap() {
        hit["version"].take();
    }
    told
}

/// While nothing is written, every caller is told exactly what it would be told if there were nothing that it may not read.
fn assert_hidden_is_as_if_absent(
    retriever: &Retriever,
    folder: &Path,
    ledger: &Ledger,
    state: &mut u64,
) {
    let order = stored_order(folder);
    for bits in [0, 1, 2, 6, 8, 14] {
        let caller = subset(bits);
        let access = Access::of(caller.clone());
        let other = tempfile::tempdir().unwrap();
        let alone = of_readable_alone(other.path(), ledger, &caller, &order);
        for _ in 0..8 {
            let request = any_request(state);
            let got = told(&retriever.search(&request, &access).unwrap());
            let want = told(&alone.search(&request, &access).unwrap());
            assert_eq!(got, want, "{request:?} for {caller:?}");
        }
        let texts: Vec<String> = WORDS.iter().map(ToString::to_string).collect();
        let got = retriever.rerank(WORDS[0], &texts, &access).unwrap();
        assert_eq!(got, alone.rerank(WORDS[0], &texts, &access).unwrap());
        let ids = |retriever: &Retriever| -> BTreeSet<DocumentId> {
            let listed = retriever.documents(&access, &Page::default()).unwrap();
            listed.into_iter().map(|document| document.id).collect()
        };
        assert_eq!(ids(retriever), ids(&alone));
    }
}

#[test]
fn beside_any_writes_nobody_is_told_of_what_they_may_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = Retriever::open(folder.path(), settings()).unwrap();
    let ledger = Ledger::new();
    let searches = AtomicU64::new(0);
    for round in 0..ROUNDS {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _ends_loops = EndsLoops(&done);
            let (retriever, ledger) = (&retriever, &ledger);
            let (done, searches) = (&done, &searches);
            let seed = move |thread: usize| (round * 16 + thread + 1) as u64 * 0x9e37_79b9;
            for searcher in WRITERS..WRITERS + 3 {
                scope.spawn(move || {
                    let mut state = seed(searcher);
                    while !done.load(Ordering::Relaxed) {
                        search(retriever, ledger, &mut state);
                        searches.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::scope(|writers| {
                for writer in 0..WRITERS {
                    writers.spawn(move || write(retriever, ledger, writer, &mut seed(writer)));
                }
            });
        });
        let mut state = 0x5eed + round as u64;
        assert_hidden_is_as_if_absent(&retriever, folder.path(), &ledger, &mut state);
    }
    let searches = searches.into_inner();
    assert!(searches > 20, "{searches} searches ran beside the writes");
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
}
