//! A fault as people read it: message, place, the line itself, carets and the way out.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::privacy::{covered, escaped, masked, redacted};
use crate::source::Fault;

/// The fault in the style of rustc, without a final line break; `color` adds ANSI colours. Neither control characters nor
/// credentials of the project's files are in it.
#[must_use]
pub(crate) fn render(fault: &Fault, color: bool) -> String {
    render_as(Level::ERROR, fault, color)
}

/// The same for a note: a warning.
#[must_use]
pub(crate) fn render_note(note: &Fault, color: bool) -> String {
    render_as(Level::WARNING, note, color)
}

fn render_as(level: Level<'_>, fault: &Fault, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let message = shown(&fault.message);
    let label = shown(&fault.label);
    let help = fault.help.as_deref().map(shown);
    let title = level.primary_title(message.as_str());
    let (path, text);
    let mut group = Group::with_title(title);
    if let Some(place) = &fault.place {
        path = shown(&place.file.path.display().to_string());
        // Long lines are cut at both ends: what says that a value is a credential may be gone.
        text = covered(&masked(&place.file.text));
        let text = text.as_str();
        group = if text.trim().is_empty() {
            // There is no line to show.
            let group = group.element(Origin::path(path.as_str()).line(1).char_column(1));
            if label.is_empty() { group } else { group.element(Level::HELP.message(label.as_str())) }
        } else {
            let span = first_line(text, place.span.clone());
            let label = Some(label.as_str()).filter(|l| !l.is_empty());
            let carets = AnnotationKind::Primary.span(span).label(label);
            group.element(Snippet::source(text).path(path.as_str()).annotation(carets))
        };
    }
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

fn shown(text: &str) -> String {
    escaped(&redacted(text)).into_owned()
}

/// The part of a span that is on its first line: carets under several lines say less.
fn first_line(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = (0..=span.start.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = span.end.clamp(start, line_end);
    start..(end..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(end)
}
