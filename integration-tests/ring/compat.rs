//! What live Debezium answered over the corpus of `cargo xtask compat` is given again, without it: with all quirks, and
//! without any, but for the differences of the reviewed list.

use std::sync::Mutex;
use std::thread;

use walferry_stack::{POSTGRES_MAJOR_DEFAULT, Stack, test_postgres_major};
use walferry_trials::compat::corpus::{self, Group};
use walferry_trials::compat::recording;
use walferry_trials::compat::report::Pass;
use walferry_trials::compat::review::Review;
use walferry_trials::compat::run::Bench;

/// Groups that run at once; each waits for markers most of the time.
const AT_ONCE: usize = 3;

#[test]
fn debeziums_recorded_answers_are_given_again() {
    // Debezium was recorded on this version; others lack types of the corpus.
    if test_postgres_major() != POSTGRES_MAJOR_DEFAULT {
        return;
    }
    let bench = Bench {
        servers: Stack::shared().unwrap(),
        worker: None,
        folder: std::env::temp_dir().join(format!("walferry-test-compat-{}", std::process::id())),
    };
    let waiting: Mutex<Vec<Group>> = Mutex::new(corpus::load().unwrap());
    let passes = Mutex::new((Pass::new("all"), Pass::new("none"), Review::load().unwrap()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(group) = { waiting.lock().unwrap().pop() } {
                    let name = &group.name;
                    let recorded = recording::load(name).unwrap();
                    let published = bench.group(&group).unwrap();
                    let (all, none, review) = &mut *passes.lock().unwrap();
                    all.add(name, &recorded, &published.all, review);
                    none.add(name, &recorded, &published.none, review);
                }
            });
        }
    });
    let (all, none, _) = passes.into_inner().unwrap();
    let unlisted: Vec<String> = [&all, &none]
        .iter()
        .flat_map(|pass| pass.unlisted())
        .collect();
    let (all, none) = (all.summary(), none.summary());
    assert!(
        unlisted.is_empty(),
        "{}\n{all}\n{none}",
        unlisted.join("\n")
    );
    std::fs::remove_dir_all(&bench.folder).unwrap();
}
