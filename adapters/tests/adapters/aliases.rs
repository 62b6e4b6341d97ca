//! Aliases move from where they were seen, together or not at all.

use std::sync::Barrier;

use crate::support::{add, id};
use quoin_adapters::{AdapterError, AdapterId, Alias, AliasMove, Registry};

#[test]
fn an_alias_moves_only_from_where_it_was_seen() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let (one, two) = (add(&registry, 0.1), add(&registry, 0.2));
    let champion = Alias::champion();
    registry.set_alias(&champion, None, Some(&one)).unwrap();
    let error = registry.set_alias(&champion, None, Some(&two)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "alias `champion` is at `support@1`, not at `base`: it was moved meanwhile"
    );
    registry
        .set_alias(&champion, Some(&one), Some(&two))
        .unwrap();

    let registry = Registry::open(data.path()).unwrap();
    assert_eq!(registry.aliases().unwrap().get(&champion), Some(&two));
    registry.set_alias(&champion, Some(&two), None).unwrap();
    assert!(registry.aliases().unwrap().is_empty());
}

#[test]
fn a_promotion_moves_all_its_aliases_or_none() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let (one, two) = (add(&registry, 0.1), add(&registry, 0.2));
    registry
        .set_alias(&Alias::champion(), None, Some(&one))
        .unwrap();
    registry
        .set_alias(&Alias::challenger(), None, Some(&two))
        .unwrap();
    let step = |alias: Alias, from: Option<&AdapterId>, to: Option<&AdapterId>| AliasMove {
        alias,
        from: from.cloned(),
        to: to.cloned(),
    };
    let before = registry.aliases().unwrap();
    let stale = [
        step(Alias::champion(), Some(&one), Some(&two)),
        step(Alias::previous(), Some(&two), Some(&one)),
    ];
    registry.move_aliases(&stale).unwrap_err();
    assert_eq!(registry.aliases().unwrap(), before);

    let promotion = [
        step(Alias::champion(), Some(&one), Some(&two)),
        step(Alias::previous(), None, Some(&one)),
        step(Alias::challenger(), Some(&two), None),
    ];
    let after = registry.move_aliases(&promotion).unwrap();
    assert_eq!(after.get(&Alias::champion()), Some(&two));
    assert_eq!(after.get(&Alias::previous()), Some(&one));
    assert_eq!(after.get(&Alias::challenger()), None);
}

#[test]
fn an_alias_points_at_what_exists() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let error = registry
        .set_alias(&Alias::champion(), None, Some(&id("support@1")))
        .unwrap_err();
    assert!(matches!(error, AdapterError::NotFound { .. }), "{error}");
}

#[test]
fn of_many_who_move_an_alias_from_the_same_place_one_wins() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let ids: Vec<_> = (1_u8..=8)
        .map(|seed| add(&registry, f32::from(seed)))
        .collect();
    let start = Barrier::new(ids.len());
    let wins = std::thread::scope(|scope| {
        let threads: Vec<_> = ids
            .iter()
            .map(|id| {
                let (registry, start) = (&registry, &start);
                scope.spawn(move || {
                    start.wait();
                    registry
                        .set_alias(&Alias::champion(), None, Some(id))
                        .is_ok()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| usize::from(thread.join().unwrap()))
            .sum::<usize>()
    });
    assert_eq!(wins, 1);
}
