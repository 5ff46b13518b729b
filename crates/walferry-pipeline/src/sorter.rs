//! Sorts more entries than memory holds: sorted runs on disk, merged at the end.
//!
//! Owns the files of the runs, in a folder that goes with it. Never: knows what an entry means; entries are ordered as bytes.
//! Invariant: at most `memory_bytes_max` of entries are in memory at a time, and a small buffer for each run in the merge.
//! Start reading at `Sorter::push`.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes that are read of a run at a time.
const RUN_BUFFER_BYTES: usize = 32 << 10;

/// Takes entries in any order.
pub struct Sorter {
    folder: Folder,
    memory_bytes_max: usize,
    arena: Vec<u8>,
    /// Start and length of each entry in the arena.
    entries: Vec<(usize, usize)>,
    runs: Vec<PathBuf>,
}

/// A folder that is removed when it is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the folder for temporary files, where the system clears it away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Sorter {
    /// An empty one, whose runs go to the system's folder for temporary files.
    pub fn new(memory_bytes_max: usize) -> Sorter {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("walferry-sort-{}-{serial}", std::process::id());
        Sorter {
            folder: Folder(std::env::temp_dir().join(name)),
            memory_bytes_max,
            arena: Vec::new(),
            entries: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &[u8]) -> io::Result<()> {
        let held = self.arena.len() + self.entries.len() * size_of::<(usize, usize)>();
        if held + entry.len() > self.memory_bytes_max && !self.entries.is_empty() {
            self.spill()?;
        }
        self.entries.push((self.arena.len(), entry.len()));
        self.arena.extend_from_slice(entry);
        Ok(())
    }

    /// Writes what is in memory to disk and gives the memory back.
    pub fn rest(&mut self) -> io::Result<()> {
        self.spill()?;
        (self.arena, self.entries) = (Vec::new(), Vec::new());
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder.0)?;
        let path = self.folder.0.join(self.runs.len().to_string());
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let arena = &self.arena;
        let entry = |&(start, length): &(usize, usize)| &arena[start..start + length];
        self.entries.sort_unstable_by(|a, b| entry(a).cmp(entry(b)));
        for it in &self.entries {
            let length = u32::try_from(it.1).map_err(io::Error::other)?;
            file.write_all(&length.to_le_bytes())?;
            file.write_all(entry(it))?;
        }
        file.flush()?;
        self.runs.push(path);
        self.arena.clear();
        self.entries.clear();
        Ok(())
    }

    /// Every entry in order.
    pub fn merge(mut self) -> io::Result<Merge> {
        self.rest()?;
        let mut runs = Vec::with_capacity(self.runs.len());
        let mut heads = BinaryHeap::new();
        for (number, path) in self.runs.iter().enumerate() {
            let mut run = BufReader::with_capacity(RUN_BUFFER_BYTES, File::open(path)?);
            if let Some(entry) = read_entry(&mut run)? {
                heads.push(Reverse((entry, number)));
            }
            runs.push(run);
        }
        Ok(Merge {
            runs,
            heads,
            _folder: self.folder,
        })
    }
}

/// The entries of all runs in order.
pub struct Merge {
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    _folder: Folder,
}

impl Merge {
    /// The next entry; nothing after the last.
    pub fn next_entry(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(Reverse((entry, run))) = self.heads.pop() else {
            return Ok(None);
        };
        if let Some(next) = read_entry(&mut self.runs[run])? {
            self.heads.push(Reverse((next, run)));
        }
        Ok(Some(entry))
    }
}

fn read_entry(run: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match run.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let mut entry = vec![0; u32::from_le_bytes(length) as usize];
    run.read_exact(&mut entry)?;
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn entries_come_out_in_order_whatever_the_memory(
            mut entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..200),
            memory in 1_usize..4_000,
        ) {
            let mut sorter = Sorter::new(memory);
            for entry in &entries {
                sorter.push(entry).unwrap();
            }
            let folder = sorter.folder.0.clone();
            let mut merge = sorter.merge().unwrap();
            let mut found = Vec::new();
            while let Some(entry) = merge.next_entry().unwrap() {
                found.push(entry);
            }
            entries.sort();
            prop_assert_eq!(found, entries);
            drop(merge);
            prop_assert!(!folder.exists());
        }
    }
}
