//! JSON with the line of each value, because every task and edge says where it stands.

/// A value and its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned {
    /// The line on which it begins, from 1.
    pub(super) line: u32,
    /// Where a scalar begins and ends in the text, in bytes; of an array or object, where it ends.
    pub(super) span: (u32, u32),
    /// The value.
    pub(super) value: Value,
}

/// A JSON value; numbers keep their text, so that the id `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Spanned>),
    Object(Vec<(String, Spanned)>),
}

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// The line, from 1.
    pub(super) line: u32,
    /// The column in characters, from 1.
    pub(super) column: u32,
    /// What is wrong.
    pub(super) why: &'static str,
}

/// How deep values may be nested.
const DEEPEST: usize = 128;

impl Spanned {
    /// The field of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Spanned> {
        match &self.value {
            Value::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// A string, or a number as text: ids come as both.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) | Value::Number(text) => Some(text.trim()),
            _ => None,
        }
    }

    /// A string.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array; of anything else none.
    pub(super) fn items(&self) -> &[Spanned] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// The fields of an object; of anything else none.
    pub(super) fn fields(&self) -> &[(String, Spanned)] {
        match &self.value {
            Value::Object(fields) => fields,
            _ => &[],
        }
    }

    /// Where a field says how far something is: its value, or the end of the object, where it would
    /// have to be put.
    pub(super) fn state_at(&self, name: &str) -> Option<(u32, u32)> {
        match self.get(name) {
            Some(field) => Some(field.span),
            None => matches!(self.value, Value::Object(_)).then_some((self.span.0, self.span.0)),
        }
    }

    /// A string field, or "".
    pub(super) fn text_of(&self, name: &str) -> &str {
        self.get(name).and_then(Spanned::text).unwrap_or_default()
    }

    /// The strings and numbers of an array field, with their lines.
    pub(super) fn ids_of(&self, name: &str) -> Vec<(String, u32)> {
        self.get(name)
            .map(Spanned::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| Some((item.id()?.to_owned(), item.line)))
            .collect()
    }

    /// The strings of an array field.
    pub(super) fn texts_of(&self, name: &str) -> Vec<String> {
        self.ids_of(name)
            .into_iter()
            .map(|(text, _)| text)
            .collect()
    }
}

/// What is being read, from the outside in.
enum Open {
    Array(u32, Vec<Spanned>),
    Object(u32, Vec<(String, Spanned)>, String),
}

/// Reads one value; `first` is the number of the text's first line.
pub(super) fn read(text: &str, first: u32) -> Result<Spanned, Broken> {
    let mut reader = Reader {
        text,
        at: 0,
        line: first,
        line_start: 0,
    };
    let mut open: Vec<Open> = Vec::new();
    'value: loop {
        reader.blanks();
        let line = reader.line;
        let mut done = match reader.peek() {
            Some(b'{') => {
                reader.at += 1;
                reader.blanks();
                if reader.take(b'}') {
                    Spanned {
                        line,
                        span: reader.end(),
                        value: Value::Object(Vec::new()),
                    }
                } else {
                    let key = reader.key()?;
                    open.push(Open::Object(line, Vec::new(), key));
                    if open.len() > DEEPEST {
                        return Err(reader.broken("nested deeper than 128 levels"));
                    }
                    continue 'value;
                }
            }
            Some(b'[') => {
                reader.at += 1;
                reader.blanks();
                if reader.take(b']') {
                    Spanned {
                        line,
                        span: reader.end(),
                        value: Value::Array(Vec::new()),
                    }
                } else {
                    open.push(Open::Array(line, Vec::new()));
                    if open.len() > DEEPEST {
                        return Err(reader.broken("nested deeper than 128 levels"));
                    }
                    continue 'value;
                }
            }
            _ => {
                let from = reader.at as u32;
                let value = reader.scalar()?;
                let span = (from, reader.at as u32);
                Spanned { line, span, value }
            }
        };
        loop {
            reader.blanks();
            match open.pop() {
                None => {
                    return if reader.at == text.len() {
                        Ok(done)
                    } else {
                        Err(reader.broken("something follows the value"))
                    };
                }
                Some(Open::Array(line, mut items)) => {
                    items.push(done);
                    if reader.take(b',') {
                        open.push(Open::Array(line, items));
                        continue 'value;
                    }
                    if !reader.take(b']') {
                        return Err(reader.broken("expected , or ]"));
                    }
                    done = Spanned {
                        line,
                        span: reader.end(),
                        value: Value::Array(items),
                    };
                }
                Some(Open::Object(line, mut fields, key)) => {
                    fields.push((key, done));
                    if reader.take(b',') {
                        reader.blanks();
                        let key = reader.key()?;
                        open.push(Open::Object(line, fields, key));
                        continue 'value;
                    }
                    if !reader.take(b'}') {
                        return Err(reader.broken("expected , or }"));
                    }
                    done = Spanned {
                        line,
                        span: reader.end(),
                        value: Value::Object(fields),
                    };
                }
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The last byte that was read, which closes an array or object.
    fn end(&self) -> (u32, u32) {
        (self.at as u32 - 1, self.at as u32)
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.line_start = self.at + 1;
                }
                b' ' | b'\t' | b'\r' => {}
                _ => return,
            }
            self.at += 1;
        }
    }

    fn broken(&self, why: &'static str) -> Broken {
        let before = self.text.get(self.line_start..self.at).unwrap_or_default();
        Broken {
            line: self.line,
            column: before.chars().count() as u32 + 1,
            why,
        }
    }

    fn key(&mut self) -> Result<String, Broken> {
        if self.peek() != Some(b'"') {
            return Err(self.broken("expected a name in double quotes"));
        }
        let key = self.string()?;
        self.blanks();
        if !self.take(b':') {
            return Err(self.broken("expected : after the name"));
        }
        Ok(key)
    }

    /// A string, a number, or a word; decoding is left to `serde_json`.
    fn scalar(&mut self) -> Result<Value, Broken> {
        match self.peek() {
            None => Err(self.broken("it ends too early")),
            Some(b'"') => self.string().map(Value::String),
            Some(_) => {
                let rest = &self.text[self.at..];
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'))
                    .unwrap_or(rest.len());
                let word = &rest[..end];
                let value = match word {
                    "null" => Value::Null,
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ if serde_json::from_str::<serde_json::Number>(word).is_ok() => {
                        Value::Number(word.to_owned())
                    }
                    _ => return Err(self.broken("expected a value")),
                };
                self.at += end;
                Ok(value)
            }
        }
    }

    fn string(&mut self) -> Result<String, Broken> {
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(b'\n') | None => return Err(self.broken("a string that does not end")),
                Some(_) => end += 1,
            }
        }
        let text = self
            .text
            .get(self.at..=end)
            .and_then(|quoted| serde_json::from_str(quoted).ok())
            .ok_or_else(|| self.broken("a string with a wrong escape or control character"))?;
        self.at = end + 1;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_knows_its_line() {
        let read = read("{\n \"a\": [1.10,\n \"x\\n\"],\n\"b\": {}}", 10).unwrap();
        assert_eq!(read.line, 10);
        assert_eq!(
            read.ids_of("a"),
            [("1.10".to_owned(), 11), ("x".to_owned(), 12)]
        );
        assert_eq!(read.get("b").unwrap().line, 13);
    }

    #[test]
    fn broken_json_says_where() {
        let error = read("{\"a\": [1,\n 2", 1).unwrap_err();
        assert_eq!(
            (error.line, error.column, error.why),
            (2, 3, "expected , or ]")
        );
        assert!(read(&"[".repeat(100_000), 1).is_err());
        for bad in [
            "",
            "nul",
            "[1,]",
            "{\"a\" 1}",
            "1 2",
            "\"a",
            "\"\\",
            "01",
            "NaN",
            "{,}",
        ] {
            assert!(read(bad, 1).is_err(), "{bad}");
        }
    }
}
