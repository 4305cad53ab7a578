//! Field rules of a route: from the plan's words to `forward`'s compiled form, and onto answers made here.

use config::{HeaderEdits, Plan};
use forward::{CertificatePart, FieldRules, RuleError, Side};
use message::{FieldsBuilder, Known, KnownSet, ResponseHead};

/// Compiles the edits of one direction.
pub(crate) fn rules(edits: &HeaderEdits, side: Side) -> Result<FieldRules, RuleError> {
    let mut rules = FieldRules::none();
    for name in &edits.remove {
        rules.remove(side, name)?;
    }
    for (name, value) in &edits.set {
        match CertificatePart::of_value(value) {
            Some(part) if side == Side::Request => rules.set_certificate(name, part)?,
            _ => rules.set(side, name, value)?,
        }
    }
    for (name, value) in &edits.add {
        rules.add(side, name, value)?;
    }
    Ok(rules)
}

/// What of a route's edits its failures have too: who may read an answer (`Access-Control-Allow-Origin` and its kin, Fetch §3.3)
/// does not depend on its status, and a script that may not is not even told that there was one. Other fields, such as
/// Cache-Control, are meant for what was asked for.
pub(crate) fn for_failures(edits: &HeaderEdits) -> Vec<(String, String)> {
    let is_cors = |name: &str| name.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("access-control-"));
    edits.set.iter().chain(&edits.add).filter(|(name, _)| is_cors(name)).cloned().collect()
}

/// The names of all fields in which some route tells servers of a client's certificate.
pub(crate) fn told_of_certificates(plan: &Plan) -> Vec<&str> {
    let set = plan.routes.iter().flat_map(|route| &route.request_headers.set);
    let told = set.filter(|(_, value)| CertificatePart::of_value(value).is_some()).map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = told.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The head with the rules applied.
pub(crate) fn apply(rules: &FieldRules, head: &ResponseHead) -> ResponseHead {
    let kept = if is_in_parts(head) { TYPE } else { KnownSet::of(&[]) };
    let mut fields = FieldsBuilder::new();
    for field in head.fields.iter().filter(|f| kept.contains(f.known) || !rules.takes_out(f.known, f.name)) {
        fields.push_known(field.known, field.name, field.value);
    }
    rules.write_but(kept, &mut fields);
    ResponseHead::new(head.status, fields.finish(), head.body)
}

const TYPE: KnownSet = KnownSet::of(&[Known::ContentType]);

/// Whether the answer holds several parts of what was asked for. Its type says how they are told apart (RFC 9110 §14.6): a rule is about
/// the type of the whole.
fn is_in_parts(head: &ResponseHead) -> bool {
    let is_of_parts = |value: &[u8]| value.starts_with(b"multipart/byteranges");
    head.status == 206 && head.fields.first(Known::ContentType).is_some_and(is_of_parts)
}

#[cfg(test)]
mod tests {
    use message::BodyLength;

    use super::*;

    #[test]
    fn rules_leave_the_type_of_an_answer_in_parts() {
        let set = HeaderEdits { set: vec![("content-type".into(), "video/x".into())], ..HeaderEdits::default() };
        let removed = HeaderEdits { remove: vec!["content-type".into()], ..HeaderEdits::default() };
        let in_parts = "multipart/byteranges; boundary=b";
        for (edits, status, sent, want) in [
            (&set, 206, in_parts, &[in_parts][..]),
            (&removed, 206, in_parts, &[in_parts]),
            (&set, 206, "text/plain", &["video/x"]),
            (&set, 200, in_parts, &["video/x"]),
            (&removed, 200, "text/plain", &[]),
        ] {
            let mut fields = FieldsBuilder::new();
            fields.push_known(Known::ContentType, b"Content-Type", sent.as_bytes());
            let head = ResponseHead::new(status, fields.finish(), BodyLength::Known(1));
            let head = apply(&rules(edits, Side::Response).unwrap(), &head);
            let types: Vec<&[u8]> = head.fields.all(Known::ContentType).collect();
            let want: Vec<&[u8]> = want.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(types, want, "{status} {sent}");
        }
    }
}
