//! What SQLite leaves of deleted rows, overwritten.
//!
//! `secure_delete` overwrites a row where it stands. But when a page is split or joined with another, rows move, and their old
//! places are neither used nor overwritten; a row's deletion does not reach them later. So the unused space of all pages is overwritten,
//! through SQLite itself (`sqlite_dbpage`, which `.cargo/config.toml` compiles in): by its log and its locks.

use std::ops::Range;

use rusqlite::{Connection, TransactionBehavior, params};

use super::Catalogue;
use crate::RetrieverError;

const WIPING: &str = "overwriting unused space";
/// Pages of one transaction: writers wait for no more.
const PAGES: usize = 256;
/// The first page begins with the head of the file.
const FILE_HEAD: usize = 100;
/// From this number on, the first byte of an overflow page, which is of the number of the next one, may look like a kind of page.
const MOST_PAGES: i64 = 0x0200_0000;

impl Catalogue {
    /// Overwrites what the file holds of rows that are gone, and empties the write-ahead log, which may hold it too. `false` while a
    /// reader needs the log. Reads every page.
    pub(crate) fn wipe(&self) -> Result<bool, RetrieverError> {
        let mut unclean = self.unclean_pages()?;
        while !unclean.is_empty() {
            let later = unclean.split_off(unclean.len().min(PAGES));
            self.clean(&unclean)?;
            unclean = later;
        }
        super::write::empty_log(&self.writer()).map_err(RetrieverError::storage(WIPING))
    }

    /// The numbers of the pages whose unused space holds something.
    fn unclean_pages(&self) -> Result<Vec<i64>, RetrieverError> {
        let failed = RetrieverError::storage(WIPING);
        self.with_reader(WIPING, |connection| {
            let mut statement = connection
                .prepare_cached("SELECT pgno, data FROM sqlite_dbpage")
                .map_err(&failed)?;
            let mut rows = statement.query([]).map_err(&failed)?;
            let mut unclean = Vec::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let number: i64 = row.get(0).map_err(&failed)?;
                let page = row.get_ref(1).and_then(|page| Ok(page.as_blob()?));
                let page = page.map_err(&failed)?;
                if number < MOST_PAGES && !is_clean(page, number) {
                    unclean.push(number);
                }
            }
            Ok(unclean)
        })
    }

    fn clean(&self, numbers: &[i64]) -> Result<(), RetrieverError> {
        let failed = RetrieverError::storage(WIPING);
        let mut connection = self.writer();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        clean_all(&transaction, numbers).map_err(&failed)?;
        transaction.commit().map_err(failed)
    }
}

fn clean_all(connection: &Connection, numbers: &[i64]) -> rusqlite::Result<()> {
    let mut read = connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    let mut write =
        connection.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?;
    for number in numbers {
        // It may have changed since, or be gone.
        let page: Option<Vec<u8>> = read
            .query_map([number], |row| row.get(0))?
            .next()
            .transpose()?;
        if let Some(mut page) = page
            && !is_clean(&page, *number)
        {
            for range in unused(&page, *number) {
                page[range].fill(0);
            }
            write.execute(params![number, page])?;
        }
    }
    Ok(())
}

fn is_clean(page: &[u8], number: i64) -> bool {
    let mut unused = unused(page, number).into_iter();
    unused.all(|range| page[range].iter().all(|byte| *byte == 0))
}

/// The space between the cell pointers and the cells of a page of a table or an index, and the free blocks among its cells without
/// their heads. None of any other page, and none where the page is not as the file format says.
fn unused(page: &[u8], number: i64) -> Vec<Range<usize>> {
    let head = if number == 1 { FILE_HEAD } else { 0 };
    let two = |at: usize| {
        let bytes = page.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    };
    let pointers = match page.get(head) {
        Some(2 | 5) => head + 12,
        Some(10 | 13) => head + 8,
        _ => return Vec::new(),
    };
    let (Some(mut block), Some(cells), Some(content)) =
        (two(head + 1), two(head + 3), two(head + 5))
    else {
        return Vec::new();
    };
    // 0 stands for 65536, the size of the largest page.
    let content = if content == 0 { 65_536 } else { content };
    let gap = pointers + 2 * cells..content;
    if gap.start > gap.end || gap.end > page.len() {
        return Vec::new();
    }
    let mut unused = vec![gap];
    while block != 0 {
        let (Some(next), Some(size)) = (two(block), two(block + 2)) else {
            return Vec::new();
        };
        // Blocks ascend, so the chain ends.
        if block < content
            || size < 4
            || block + size > page.len()
            || next != 0 && next < block + size
        {
            return Vec::new();
        }
        unused.push(block + 4..block + size);
        block = next;
    }
    unused
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::Catalogue;
    use crate::{Content, DocumentId, DocumentInput, Retriever, RetrieverSettings};

    const WORDS: [&str; 8] = [
        "ledger", "pump", "harbour", "velvet", "quartz", "lantern", "orchard", "saddle",
    ];

    fn replace_at_random(retriever: &Retriever, rounds: u32) {
        let mut state = 0x5eed_u32;
        for round in 0..rounds {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let words = if state >> 28 == 0 { 200_usize } else { 12 };
            let mut text = format!("q{round:05}zz.");
            for place in 0..words {
                let drawn = (state >> (place % 24)) as usize + place;
                write!(text, " {}", WORDS[drawn % WORDS.len()]).unwrap();
            }
            let id = DocumentId::new(format!("d{}", (state >> 16) % 24)).unwrap();
            let input = DocumentInput::new(id, Content::text(text));
            retriever.put(input).unwrap();
        }
    }

    #[test]
    fn texts_that_were_replaced_leave_nothing_in_the_unused_space_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let retriever = Retriever::open(folder.path(), RetrieverSettings::default()).unwrap();
        replace_at_random(&retriever, 600);
        drop(retriever);
        let path = folder.path().join("quoin.db");
        let catalogue = Catalogue::open(&path).unwrap();
        let left = catalogue.unclean_pages().unwrap();
        assert!(
            !left.is_empty(),
            "SQLite overwrites what it moves: no need to"
        );
        assert!(catalogue.wipe().unwrap());
        assert_eq!(catalogue.unclean_pages().unwrap(), [] as [i64; 0]);
        let mut live = Vec::new();
        let mut first_word = |text: &[u8]| live.push(text[..8].to_vec());
        catalogue.each_text(&mut first_word).unwrap();
        drop(catalogue);
        let file = std::fs::read(path).unwrap();
        for round in 0..600 {
            let word = format!("q{round:05}zz").into_bytes();
            let is_there = file.windows(8).any(|eight| eight == word);
            assert_eq!(is_there, live.contains(&word), "{round}");
        }
        // The file is as good as before.
        let retriever = Retriever::open(folder.path(), RetrieverSettings::default()).unwrap();
        assert!(retriever.verify().unwrap().problems.is_empty());
        replace_at_random(&retriever, 50);
        assert!(retriever.verify().unwrap().problems.is_empty());
    }
}
