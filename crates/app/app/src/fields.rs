//! Field rules of a route: from the plan's words to `forward`'s compiled form, and onto answers made here.

use config::{HeaderEdits, Plan};
use forward::{CertificatePart, FieldRules, RuleError, Side};
use message::{FieldsBuilder, ResponseHead};

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
    let mut fields = FieldsBuilder::new();
    copy_allowed(rules, head, &mut fields);
    rules.write(&mut fields);
    ResponseHead::new(head.status, fields.finish(), head.body)
}

fn copy_allowed(rules: &FieldRules, head: &ResponseHead, out: &mut FieldsBuilder) {
    for field in head.fields.iter().filter(|f| !rules.takes_out(f.known, f.name)) {
        out.push_known(field.known, field.name, field.value);
    }
}
