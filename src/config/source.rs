//! Where the value of one libpq keyword comes from, and how it is read: the one place that knows
//! which of connection info, service and environment wins.

use super::environment::Environment;
use super::keywords::{Keywords, find, is_blank, is_secret};
use super::problem::{Findings, shown_text};
use super::service_file::Service;

/// Where values come from: what was written, then the service, then the environment. Knows what to
/// call them in a message.
pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) given: &'a Keywords,
    pub(super) service: Option<&'a Service>,
    pub(super) environment: &'a Environment,
    pub(super) findings: &'a mut Findings,
}

impl<'a> Source<'a> {
    /// The value of `keyword`, perhaps empty: an empty value that was given hides the
    /// environment's.
    pub(super) fn value(&self, keyword: &str) -> Option<&'a str> {
        let in_service = || {
            self.service
                .and_then(|service| service.keywords.value(keyword))
        };
        self.given.value(keyword).or_else(in_service).or_else(|| {
            let variable = find(keyword).map_or("", |known| known.variable);
            self.environment.vars.get(variable).map(String::as_str)
        })
    }

    /// The value of `keyword` unless it is empty.
    pub(super) fn filled(&self, keyword: &str) -> Option<&'a str> {
        self.value(keyword).filter(|value| !value.is_empty())
    }

    /// Reports the value of `keyword` as wrong.
    pub(super) fn error(&mut self, keyword: &str, message: impl Into<String>) {
        let value = self.shown(keyword);
        self.findings.error(self.label(keyword), value, message);
    }

    /// The value of `keyword` for a message, unless it may hold part of a secret.
    pub(super) fn shown(&self, keyword: &str) -> Option<String> {
        let may_show = match self.given.value(keyword) {
            Some(_) => self.given.may_show(keyword),
            None => !is_secret(keyword),
        };
        self.value(keyword).filter(|_| may_show).map(shown_text)
    }

    /// Adds a warning about `keyword`, without its value.
    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.findings.warn(key, None, message);
    }

    /// What the value of `keyword` is called where it was written.
    pub(super) fn label(&self, keyword: &str) -> String {
        let variable = find(keyword).map_or("", |known| known.variable);
        match self
            .service
            .filter(|service| service.keywords.value(keyword).is_some())
        {
            _ if self.given.value(keyword).is_some() => {}
            Some(service) => return format!("{keyword} of {service} (for {})", self.path),
            None if self.environment.vars.contains_key(variable) => {
                return format!("{variable} (for {})", self.path);
            }
            None => {}
        }
        format!("{}.{keyword}", self.path)
    }

    /// An integer as libpq reads it; what is not positive means the default.
    pub(super) fn positive(&mut self, keyword: &str) -> Option<u64> {
        let number = self.filled(keyword)?.trim_matches(is_blank).parse::<i32>();
        if number.is_err() {
            self.error(keyword, "expected an integer");
        }
        u64::try_from(number.ok()?)
            .ok()
            .filter(|number| *number > 0)
    }

    /// As [`one_of`](Self::one_of), where an empty value is none.
    pub(super) fn filled_one_of<T: Copy>(
        &mut self,
        keyword: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.filled(keyword)
            .and_then(|_| self.one_of(keyword, choices))
    }

    /// What the value of `keyword` means; anything but one of `choices` is an error.
    pub(super) fn one_of<T: Copy>(&mut self, keyword: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(keyword)?;
        let chosen = choices
            .iter()
            .find(|(name, _)| *name == value)
            .map(|(_, choice)| *choice);
        if chosen.is_none() {
            let names = choices
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ");
            self.error(keyword, format!("expected one of {names}"));
        }
        chosen
    }
}
