//! Path templates: `/v1/models/{model}`, `/static/{file*}`.

/// A path with places for one segment each, and maybe one for all that is left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template {
    segments: Vec<Segment>,
}

/// Ordered from the most specific kind to the least.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Literal(String),
    /// Any one segment that is not empty.
    One(String),
    /// One segment or more, to the end.
    Rest(String),
}

impl Template {
    /// Reads a template in the decoded form of a path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let below = text.strip_prefix('/').ok_or("a path begins with `/`")?;
        let mut segments: Vec<Segment> = Vec::new();
        for part in below.split('/') {
            if matches!(segments.last(), Some(Segment::Rest(_))) {
                return Err("nothing may follow `{name*}`".to_owned());
            }
            let segment = Segment::parse(part, below.is_empty())?;
            let name = segment.name();
            if name.is_some() && segments.iter().any(|known| known.name() == name) {
                return Err(format!("`{}` stands twice", name.unwrap_or_default()));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// The path itself, if it has no places.
    pub(super) fn literal(&self) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            let Segment::Literal(text) = segment else { return None };
            path.push('/');
            path.push_str(text);
        }
        Some(path)
    }

    /// Whether a decoded path fits.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut parts = path.split('/').skip(1);
        for segment in &self.segments {
            let Some(part) = parts.next() else { return false };
            match segment {
                Segment::Literal(text) if text == part => {}
                Segment::One(_) if !part.is_empty() => {}
                Segment::Rest(_) => return !part.is_empty(),
                Segment::Literal(_) | Segment::One(_) => return false,
            }
        }
        parts.next().is_none()
    }

    /// Index of the segment that a name stands for.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|segment| match segment {
            Segment::One(known) => known == name,
            Segment::Literal(_) | Segment::Rest(_) => false,
        })
    }

    /// Order of precedence: of two templates that match a path the lower one counts. Literals come
    /// before places, from left to right. Equal keys match the same paths.
    pub(super) fn key(&self) -> Vec<(u8, &str)> {
        self.segments.iter().map(Segment::key).collect()
    }
}

impl Segment {
    fn parse(part: &str, is_root: bool) -> Result<Self, String> {
        if let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            let (name, rest) = inner.strip_suffix('*').map_or((inner, false), |name| (name, true));
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                return Err(format!("`{part}` needs a name of `a-z` and `_`"));
            }
            let name = name.to_owned();
            return Ok(if rest { Self::Rest(name) } else { Self::One(name) });
        }
        if part.is_empty() && !is_root {
            return Err("a segment is empty".to_owned());
        }
        if matches!(part, "." | "..") {
            return Err(format!("`{part}` is a dot segment"));
        }
        if let Some(bad) = part.chars().find(|c| c.is_control() || "{}%\\;?#".contains(*c)) {
            return Err(format!("`{bad}` may not stand in a path"));
        }
        Ok(Self::Literal(part.to_owned()))
    }

    fn key(&self) -> (u8, &str) {
        match self {
            Self::Literal(text) => (0, text),
            Self::One(_) => (1, ""),
            Self::Rest(_) => (2, ""),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::One(name) | Self::Rest(name) => Some(name),
        }
    }
}
