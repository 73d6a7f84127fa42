//! index.html, read for what a bundler has to do and written as plain HTML.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A page as a row of pieces: text that is kept, and places that depend on the build.
#[derive(Debug)]
pub(crate) struct Page {
    pieces: Vec<Piece>,
    copies: Vec<(PathBuf, String)>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// The script that starts the app.
    Start,
    /// A link to a copied file, by the file's name in the bundle.
    Link {
        rel: &'static str,
        file: String,
    },
}

impl Page {
    /// Reads `html`, whose addresses are relative to `dir`.
    pub(crate) fn parse(html: &str, dir: &Path) -> Result<Self> {
        let mut page = Self { pieces: Vec::new(), copies: Vec::new() };
        let mut kept = String::new();
        let mut starts = false;
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            kept.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with("<!--") {
                let end = rest.find("-->").context("a comment that does not end")? + 3;
                kept.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            let end = rest.find('>').context("a tag that does not end")? + 1;
            let (tag, after) = rest.split_at(end);
            rest = after;
            if !starts && tag == "</head>" && !mentions_rust(after) {
                // dx names no script in index.html
                page.cut(&mut kept, Piece::Start);
                starts = true;
            }
            match page.link(tag, dir).with_context(|| format!("at `{tag}`"))? {
                Link::Plain => kept.push_str(tag),
                Link::Gone => {}
                Link::Becomes(Piece::Start) if starts => bail!("two links that start an app"),
                Link::Becomes(piece) => {
                    starts |= matches!(piece, Piece::Start);
                    page.cut(&mut kept, piece);
                }
            }
        }
        kept.push_str(rest);
        page.pieces.push(Piece::Text(kept));
        if !starts {
            bail!("neither a link that starts the app nor a </head> before which one could stand");
        }
        Ok(page)
    }

    /// The files to be copied, each with its name in the bundle.
    pub(crate) fn copies(&self) -> &[(PathBuf, String)] {
        &self.copies
    }

    /// The page for the JavaScript module `module`; `version` keeps caches from joining two builds.
    pub(crate) fn render(&self, module: &str, version: &str) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Start => format!(
                "<script type=\"module\">\
                 import init from './{module}.js?v={version}'; \
                 init({{ module_or_path: './{module}_bg.wasm?v={version}' }});\
                 </script>"
            ),
            Piece::Link { rel, file } => format!("<link rel=\"{rel}\" href=\"./{file}?v={version}\" />"),
        };
        self.pieces.iter().map(piece).collect()
    }

    fn cut(&mut self, kept: &mut String, piece: Piece) {
        self.pieces.push(Piece::Text(std::mem::take(kept)));
        self.pieces.push(piece);
    }

    /// What a tag asks of the bundler.
    fn link(&mut self, tag: &str, dir: &Path) -> Result<Link> {
        if attribute(tag, "data-trunk").is_none() {
            return Ok(Link::Plain);
        }
        if !tag.starts_with("<link ") {
            bail!("data-trunk is understood on <link> only");
        }
        let rel = attribute(tag, "rel").unwrap_or_default();
        if rel == "rust" {
            return Ok(Link::Becomes(Piece::Start));
        }
        let source = dir.join(attribute(tag, "href").context("no href")?);
        match rel.as_str() {
            "css" => Ok(Link::Becomes(Piece::Link { rel: "stylesheet", file: self.copy(&source)? })),
            "icon" => Ok(Link::Becomes(Piece::Link { rel: "icon", file: self.copy(&source)? })),
            "copy-file" => self.copy(&source).map(|_| Link::Gone),
            other => bail!("xtask's bundler does not know rel=\"{other}\""),
        }
    }

    fn copy(&mut self, source: &Path) -> Result<String> {
        let name = source.file_name().context("a file without a name")?.to_string_lossy().into_owned();
        if let Some((other, _)) = self.copies.iter().find(|(_, copied)| *copied == name) {
            bail!("the bundle would hold two files of this name, the other from {}", other.display());
        }
        self.copies.push((source.to_owned(), name.clone()));
        Ok(name)
    }
}

/// What becomes of a tag.
enum Link {
    Plain,
    Gone,
    Becomes(Piece),
}

fn mentions_rust(html: &str) -> bool {
    html.split('<').any(|tag| {
        tag.starts_with("link ")
            && attribute(tag, "data-trunk").is_some()
            && attribute(tag, "rel").as_deref() == Some("rust")
    })
}

/// The value of an attribute of a tag; empty when it stands without one.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/');
    // the tag's own name
    rest = rest.split_once(char::is_whitespace)?.1;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            None => ("", after),
            Some(after) => match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after[1..].split_once(quote)?,
                _ => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
            },
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> Result<Page> {
        Page::parse(html, Path::new("demos/leptos"))
    }

    const START: &str = "<script type=\"module\">import init from './app.js?v=7'; \
                         init({ module_or_path: './app_bg.wasm?v=7' });</script>";

    #[test]
    fn trunk_links_become_a_script_and_a_stylesheet() {
        let page = page(
            "<head>\n<link data-trunk rel=\"rust\" data-wasm-opt=\"z\" />\n\
             <link data-trunk rel='css' href='../assets/style.css'>\n</head><body></body>",
        )
        .unwrap();
        assert_eq!(
            page.render("app", "7"),
            format!(
                "<head>\n{START}\n<link rel=\"stylesheet\" href=\"./style.css?v=7\" />\n</head><body></body>"
            )
        );
        assert_eq!(
            page.copies(),
            [(PathBuf::from("demos/leptos/../assets/style.css"), "style.css".to_owned())]
        );
    }

    #[test]
    fn a_page_without_a_rust_link_starts_the_app_at_the_end_of_its_head() {
        let page = page("<head><title>x</title></head><body><div id=main></div></body>").unwrap();
        assert_eq!(
            page.render("app", "7"),
            format!("<head><title>x</title>{START}</head><body><div id=main></div></body>")
        );
    }

    #[test]
    fn a_rust_link_in_the_body_starts_the_app_there_and_once() {
        let page = page("<head></head><body><link data-trunk rel=\"rust\"></body>").unwrap();
        assert_eq!(page.render("app", "7"), format!("<head></head><body>{START}</body>"));
    }

    #[test]
    fn what_is_not_marked_stays_as_it_was() {
        let html = "<!-- <link data-trunk rel=\"sass\"> --><link rel=\"stylesheet\" href=\"./style.css\"><p>1 > 0</p>";
        let page = page(&format!("{html}<link data-trunk rel=rust>")).unwrap();
        assert_eq!(page.render("app", "7"), format!("{html}{START}"));
        assert!(page.copies().is_empty());
    }

    #[test]
    fn an_unknown_trunk_asset_is_an_error_that_names_the_tag() {
        let error = page("<link data-trunk rel=\"sass\" href=\"a.scss\"></head>").unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("rel=\"sass\"") && text.contains("a.scss"), "{text}");
    }

    #[test]
    fn a_copied_file_leaves_no_trace_in_the_page() {
        let page = page("<link data-trunk rel=\"copy-file\" href=\"a/robots.txt\"></head>").unwrap();
        assert_eq!(page.render("app", "7"), format!("{START}</head>"));
        assert_eq!(page.copies(), [(PathBuf::from("demos/leptos/a/robots.txt"), "robots.txt".to_owned())]);
    }

    #[test]
    fn two_files_of_one_name_are_an_error() {
        let html = "<link data-trunk rel=\"css\" href=\"a/s.css\"><link data-trunk rel=\"css\" href=\"b/s.css\"></head>";
        assert!(format!("{:#}", page(html).unwrap_err()).contains("two files"));
    }
}
