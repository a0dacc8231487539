//! What is wrong in a file, where, and what to write instead.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    Severity, SourceCode, SourceSpan, SpanContents,
};

/// What is wrong (or odd) in one file, in the order of the lines.
///
/// As an error it says how many problems there are; [`Self::render`] gives each with its line, and as a
/// [`miette::Diagnostic`] it carries them as related diagnostics.
#[derive(Clone, Debug)]
pub struct Report {
    text: Arc<Source>,
    problems: Vec<Problem>,
}

/// A file's name and text.
#[derive(Debug)]
struct Source {
    file: String,
    text: String,
}

/// One thing that is wrong or odd.
#[derive(Clone, Debug)]
pub struct Problem {
    text: Option<Arc<Source>>,
    severity: Severity,
    message: String,
    labels: Vec<(Range<usize>, String)>,
    help: Option<String>,
}

impl Problem {
    /// Something that must be put right.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            text: None,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// Something that works and is probably not meant.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Points at octets of the file; the first place is the one whose line and column are named.
    #[must_use]
    pub fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.labels.push((span, label.into()));
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is only odd.
    pub fn is_warning(&self) -> bool {
        self.severity != Severity::Error
    }

    /// The first place it points at.
    pub fn span(&self) -> Option<Range<usize>> {
        self.labels.first().map(|(span, _)| span.clone())
    }
}

impl Report {
    /// How many problems are shown: who has more has made the same mistake in every line.
    pub const SHOWN: usize = 50;

    /// A report about this text of a file.
    pub fn new(file: impl Into<String>, text: impl Into<String>, mut problems: Vec<Problem>) -> Self {
        let text = Arc::new(Source { file: file.into(), text: text.into() });
        for problem in &mut problems {
            problem.text = Some(Arc::clone(&text));
        }
        problems.sort_by_key(|problem| problem.span().map(|span| span.start));
        Self { text, problems }
    }

    /// The problems, in the order of the lines.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems for a person to read, each with the lines it is about.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
        let mut text = String::new();
        for problem in self.problems.iter().take(Self::SHOWN) {
            if handler.render_report(&mut text, problem).is_err() {
                text.push_str(&problem.message);
            }
            text.push('\n');
        }
        if let Some(more) = self.problems.len().checked_sub(Self::SHOWN).filter(|more| *more > 0) {
            text.push_str(&format!("  … and {more} more\n"));
        }
        text
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text.read_span(span, before, after)?;
        // miette counts the lines from the top of the file here, and then takes two places far apart for neighbors and
        // prints everything between them.
        let lines = contents.data().iter().filter(|octet| **octet == b'\n').count();
        let (data, span, line, column) =
            (contents.data(), *contents.span(), contents.line(), contents.column());
        Ok(Box::new(MietteSpanContents::new_named(self.file.clone(), data, span, line, column, lines)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warnings = self.problems.iter().filter(|problem| problem.is_warning()).count();
        let count = |n: usize, what| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
        let file = &self.text.file;
        match (self.problems.len() - warnings, warnings) {
            (errors, 0) => write!(f, "{file}: {}", count(errors, "error")),
            (0, warnings) => write!(f, "{file}: {}", count(warnings, "warning")),
            (errors, warnings) => {
                write!(f, "{file}: {}, {}", count(errors, "error"), count(warnings, "warning"))
            }
        }
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.text)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().take(Self::SHOWN).map(|problem| problem as &dyn Diagnostic)))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|text| &**text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.labels.iter().enumerate().map(|(index, (span, label))| {
            let (label, span) = (Some(label.clone()), span.clone());
            if index == 0 {
                LabeledSpan::new_primary_with_span(label, span)
            } else {
                LabeledSpan::new_with_span(label, span)
            }
        });
        Some(Box::new(labels))
    }
}
