//! Copies the sample handbook into one file of code, so that the binary carries it: `(id, text)` for each page, by id.
//! The texts themselves and not their paths: a target folder that two checkouts share must not lead into the other one.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=samples/handbook");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("samples/handbook");
    let mut pages = Vec::new();
    collect(&root, &root, &mut pages)?;
    pages.sort();
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("handbook.rs");
    std::fs::write(out, format!("&{pages:#?}\n"))?;
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
            pages.push((id.replace('\\', "/"), std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}
