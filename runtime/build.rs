//! Lists the sample handbook, so that the binary carries it: one `(id, text)` for each page, by id.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=samples/handbook");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("samples/handbook");
    let mut pages = Vec::new();
    collect(&root, &root, &mut pages)?;
    pages.sort();
    let mut list = String::from("&[\n");
    for (id, path) in &pages {
        writeln!(list, "    ({id:?}, include_str!({path:?})),")?;
    }
    list.push_str("]\n");
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("handbook.rs");
    std::fs::write(out, list)?;
    Ok(())
}

fn collect(
    root: &Path,
    folder: &Path,
    pages: &mut Vec<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let id = path
                .strip_prefix(root)?
                .to_str()
                .ok_or("a page whose name is not UTF-8")?;
            let whole = path.to_str().ok_or("the checkout's path is not UTF-8")?;
            pages.push((id.replace('\\', "/"), whole.to_owned()));
        }
    }
    Ok(())
}
