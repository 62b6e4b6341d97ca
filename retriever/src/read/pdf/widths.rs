//! Widths of characters, rewritten before pages are read: pdf-extract 0.12.1 takes the first character of a range (`first last width`)
//! for its last and for its width, so that words fall apart. Lists (`first [width …]`) it reads as they are.

use pdf_extract::{Dictionary, Document, Object};

/// Characters whose widths are listed, in the whole document.
const MAX_LISTED: usize = 1 << 20;

/// Puts lists in the place of ranges.
pub(super) fn list_ranges(document: &mut Document) {
    let mut left = MAX_LISTED;
    let rewritten: Vec<_> = document
        .objects
        .iter()
        .filter_map(|(id, object)| {
            let font = object.as_dict().ok()?;
            Some((*id, listed(document, font, &mut left)?))
        })
        .collect();
    for (id, widths) in rewritten {
        if let Some(Object::Dictionary(font)) = document.objects.get_mut(&id) {
            font.set("W", Object::Array(widths));
        }
    }
}

fn resolved<'a>(document: &'a Document, object: &'a Object) -> Option<&'a Object> {
    match object {
        Object::Reference(id) => document.get_object(*id).ok(),
        object => Some(object),
    }
}

/// `None` where there is nothing to rewrite, or it is not what widths look like.
fn listed(document: &Document, font: &Dictionary, left: &mut usize) -> Option<Vec<Object>> {
    let widths = resolved(document, font.get(b"W").ok()?)?.as_array().ok()?;
    let mut rest = widths.iter().filter_map(|one| resolved(document, one));
    let mut lists = Vec::new();
    let mut ranges = false;
    while let Some(first) = rest.next() {
        let first = first.as_i64().ok()?;
        match rest.next()? {
            Object::Array(list) => {
                lists.extend([Object::Integer(first), Object::Array(list.clone())]);
            }
            last => {
                let count = last.as_i64().ok()?.checked_sub(first)?.checked_add(1)?;
                let count = usize::try_from(count).ok()?;
                *left = left.checked_sub(count)?;
                let width = rest.next()?.clone();
                lists.extend([Object::Integer(first), Object::Array(vec![width; count])]);
                ranges = true;
            }
        }
    }
    ranges.then_some(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_lists() {
        let mut document = Document::new();
        let mut font = Dictionary::new();
        let numbers = [3, 5, 500, 9].map(Object::Integer);
        let mut widths = numbers.to_vec();
        widths.push(Object::Array(vec![Object::Integer(250)]));
        font.set("W", Object::Array(widths));
        let id = document.add_object(font);
        list_ranges(&mut document);
        let got = document.get_dictionary(id).unwrap().get(b"W").unwrap();
        let list = |width, count| Object::Array(vec![Object::Integer(width); count]);
        let expected = vec![
            Object::Integer(3),
            list(500, 3),
            Object::Integer(9),
            list(250, 1),
        ];
        assert_eq!(got, &Object::Array(expected));
    }
}
