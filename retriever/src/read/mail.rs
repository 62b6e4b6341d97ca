//! E-mail: subject, who and when, and the text; of HTML only where there is no text. Attachments are named, not read.

use mail_parser::{Address, MessageParser, MimeHeaders, PartType};

use super::html::Html;
use super::plain::Plain;
use super::structure::Structure;
use super::warnings::Warnings;
use super::{Budget, ReadDocument, Reader};
use crate::RetrieverError;

/// Addresses of one line that are shown.
const MAX_ADDRESSES: usize = 50;

pub(super) struct Mail;

impl Reader for Mail {
    fn read(&self, text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError> {
        read(text.as_bytes(), budget)
    }
}

/// The message as it was sent; its parts say how they are encoded.
pub(super) fn read(bytes: &[u8], budget: &Budget) -> Result<ReadDocument, RetrieverError> {
    let message = MessageParser::default()
        .parse(bytes)
        .ok_or(RetrieverError::Unreadable {
            format: "mail",
            problem: "it has no header".to_owned(),
        })?;
    let mut structure = Structure::new(budget);
    let subject = message.subject().map(str::to_owned);
    if let Some(subject) = &subject {
        structure.heading(1, subject)?;
    }
    let mut lines = Vec::new();
    for (name, addresses) in [
        ("From", message.from()),
        ("To", message.to()),
        ("Cc", message.cc()),
    ] {
        let shown = addresses.map(shown).unwrap_or_default();
        if !shown.is_empty() {
            lines.push(format!("{name}: {shown}"));
        }
    }
    if let Some(date) = message.date() {
        lines.push(format!("Date: {}", date.to_rfc3339()));
    }
    structure.paragraph(&lines.join("\n"))?;
    for part in message.text_bodies() {
        let read = match &part.body {
            PartType::Text(text) => Plain.read(text.replace("\r\n", "\n"), budget)?,
            PartType::Html(html) => Html.read(html.to_string(), budget)?,
            _ => continue,
        };
        structure.append(&read)?;
    }
    let mut warnings = Warnings::default();
    for attachment in message.attachments() {
        let name = attachment.attachment_name().unwrap_or("without a name");
        warnings.add(format!("an attachment was not read: {name}"));
    }
    Ok(structure.finish(subject, warnings.into_lines()))
}

fn shown(addresses: &Address<'_>) -> String {
    let one = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    let all: Vec<String> = addresses.iter().take(MAX_ADDRESSES).map(one).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    fn read_mail(mail: &str) -> ReadDocument {
        read(mail.as_bytes(), &Budget::new(&Limits::default())).unwrap()
    }

    #[test]
    fn text_goes_before_html_and_attachments_are_named() {
        let mail = "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: =?utf-8?q?Pumps_=C3=BC?=\r\n\
            Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
            --x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n\
            --y\r\nContent-Type: text/plain\r\n\r\nFirst.\r\n\r\nSecond.\r\n\
            --y\r\nContent-Type: text/html\r\n\r\n<p>HTML</p>\r\n--y--\r\n\
            --x\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\n\r\n%PDF\r\n--x--\r\n";
        let read = read_mail(mail);
        assert_eq!(
            read.text,
            "Pumps ü\n\nFrom: Ann <ann@example.org>\nTo: bob@example.org\nDate: 2026-11-24T10:00:00Z\n\nFirst.\n\nSecond."
        );
        assert_eq!(read.stated.title.as_deref(), Some("Pumps ü"));
        assert_eq!(read.warnings, ["an attachment was not read: a.pdf"]);
    }

    #[test]
    fn html_is_read_where_there_is_no_text() {
        let read = read_mail("Subject: a\r\nContent-Type: text/html\r\n\r\n<p>one</p><p>two</p>");
        assert_eq!(read.text, "a\n\none\n\ntwo");
    }
}
