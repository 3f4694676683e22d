//! The words of a key, each with what it stands for.

use std::fmt::Debug;

use crate::source::Text;
use crate::source::faults::Faults;

/// Words with the values that they stand for, and what they mean.
#[derive(Debug)]
pub(in crate::definition) struct Words<T: 'static>(pub &'static [(&'static str, T, &'static str)]);

impl<T: Copy + Debug> Words<T> {
    /// What a word stands for; another one is a fault of `key`.
    pub(in crate::definition) fn read(&self, key: &str, text: Text, faults: &mut Faults) -> Option<T> {
        let value = self.named(&text.value);
        if value.is_none() {
            faults.add(text.place, format!("`{key}` is \"{}\"", text.value), self.expected());
        }
        value
    }

    /// What a word stands for.
    pub(in crate::definition) fn named(&self, text: &str) -> Option<T> {
        self.0.iter().find(|(word, ..)| *word == text).map(|(_, value, _)| *value)
    }
}

/// Words with what they mean.
pub(in crate::definition) trait Vocabulary: Debug {
    /// Each word, and its meaning in Markdown.
    fn words(&self) -> Vec<(&'static str, &'static str)>;

    /// What is expected: one of them.
    fn expected(&self) -> String {
        let words: Vec<String> = self.words().iter().map(|(word, _)| format!("\"{word}\"")).collect();
        if words.len() == 1 { format!("expected {}", words[0]) } else { format!("one of {}", words.join(", ")) }
    }
}

impl<T: Debug> Vocabulary for Words<T> {
    fn words(&self) -> Vec<(&'static str, &'static str)> {
        self.0.iter().map(|(word, _, meaning)| (*word, *meaning)).collect()
    }
}
