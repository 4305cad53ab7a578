use message::FieldsBuilder;
use proptest::prelude::*;

use super::*;

fn item(name: &str, is_folder: bool, size: u64, modified: i64) -> Item {
    Item { name: name.as_bytes().into(), is_folder, size, modified }
}

fn asked(path: &str, form: Form, query: &str) -> Asked {
    let order = Order::of_query(Some(query.as_bytes()));
    Asked { path: path.as_bytes().into(), form, order }
}

fn some() -> Vec<Item> {
    vec![
        item("b.txt", false, 2000, 3),
        item("Zoo", true, 4096, 1),
        item("a.txt", false, 10, 9),
        item("apes", true, 4096, 2),
        item("C.txt", false, 500, 5),
    ]
}

fn names(query: &str) -> Vec<String> {
    let mut items = some();
    Order::of_query(Some(query.as_bytes())).sort(&mut items);
    items.into_iter().map(|i| String::from_utf8(i.name.into()).unwrap()).collect()
}

#[test]
fn folders_come_first_and_case_does_not_count() {
    assert_eq!(names(""), ["apes", "Zoo", "a.txt", "b.txt", "C.txt"]);
    assert_eq!(names("sort=name&order=desc"), ["Zoo", "apes", "C.txt", "b.txt", "a.txt"]);
    assert_eq!(names("sort=size"), ["apes", "Zoo", "a.txt", "C.txt", "b.txt"]);
    assert_eq!(names("x=1&order=desc&sort=modified"), ["apes", "Zoo", "a.txt", "C.txt", "b.txt"]);
    assert_eq!(names("sort=nonsense"), names(""));
}

#[test]
fn a_click_sorts_and_another_one_turns_round() {
    let order = Order::default();
    assert_eq!(order.click(Column::Name), "?sort=name&order=desc");
    assert_eq!(order.click(Column::Size), "?sort=size&order=asc");
    let down = Order { column: Column::Size, descending: true };
    assert_eq!(down.click(Column::Size), "?sort=size&order=asc");
    let page = render(&asked("/", Form::Html, "sort=size"), some(), Some(0));
    assert!(page.contains("<th aria-sort=\"ascending\"><a href=\"?sort=size&amp;order=desc\">Size"));
}

#[test]
fn the_page_leads_everywhere() {
    let page = render(&asked("/x/a%20b/", Form::Html, ""), some(), Some(0));
    assert!(page.contains("<title>/x/a b/</title>"));
    let trail = "<a href=\"../../\">/</a><a href=\"../\"><bdi>x</bdi></a>/<a href=\"./\"><bdi>a b</bdi></a>/";
    assert!(page.contains(trail), "{page}");
    assert!(page.contains("<a href=\"../\">..</a>"));
    assert!(page.contains("<a href=\"./apes/\"><bdi>apes</bdi>/</a>"));
    assert!(page.contains("<a href=\"./a.txt\"><bdi>a.txt</bdi></a></td><td title=\"10 bytes\">10 B</td>"));
    assert!(page.contains("<p>2 folders, 3 files, 2.5 KiB</p>"));
    let more = render(&asked("/", Form::Html, ""), vec![], Some(1));
    assert!(
        more.contains("<p>0 folders, 0 files; 1 more, which comes behind these by name, is not shown</p>"),
        "{more}"
    );
    let one = render(&asked("/", Form::Html, ""), vec![item("a", false, 1, 1)], Some(0));
    assert!(one.contains("<td title=\"1 byte\">1 B</td>"), "{one}");
    let top = render(&asked("/", Form::Html, ""), vec![], None);
    assert!(top.contains("<a href=\"./\">/</a></h1>") && !top.contains("href=\"../\""));
    assert!(top.contains("<p>0 folders, 0 files; there are more, which are not shown</p>"));
    let some_left = render(&asked("/", Form::Html, ""), vec![], Some(7));
    assert!(some_left.contains("0 files; 7 more, which come behind these by name, are not shown</p>"));
    let of_json = |left_out| render(&asked("/", Form::Json, ""), vec![], left_out);
    assert!(of_json(Some(7)).contains("\"complete\":false,\"left_out\":7,\"entries\""));
    assert!(of_json(None).contains("\"complete\":false,\"entries\""));
}

#[test]
fn a_name_is_neither_markup_nor_address() {
    let odd =
        ["<script>alert(1)</script>", "javascript:alert(1)", "\"onclick=\"x", "a&b", "//evil", "?q#f", "\n", "%2e%2e"];
    let items: Vec<Item> = odd.iter().map(|n| item(n, false, 1, 1)).collect();
    let page = render(&asked("/", Form::Html, ""), items.clone(), Some(0));
    let without_ours = page.replace("<script>", "");
    assert_eq!(page, without_ours);
    assert!(
        page.contains("./javascript%3Aalert%281%29")
            && page.contains("./%2F%2Fevil\"")
            && page.contains("./%252e%252e\"")
    );
    assert!(page.contains("&lt;script&gt;") && page.contains("a&amp;b") && page.contains("&quot;onclick=&quot;x"));
    let path = render(&asked("//evil.example/<b>/", Form::Html, ""), vec![], Some(0));
    assert!(!path.contains("href=\"//") && !path.contains("<b>"));
    let bytes = Item { name: b"\xff\xfe"[..].into(), is_folder: false, size: 0, modified: 0 };
    let json = render(&asked("/", Form::Json, ""), vec![bytes], Some(0));
    assert!(json.contains("\"url\":\"./%FF%FE\""));
}

#[test]
fn json_for_programs() {
    let json = render(&asked("/x/", Form::Json, ""), some()[..2].to_vec(), Some(0));
    assert_eq!(
        json,
        "{\"path\":\"/x/\",\"complete\":true,\"entries\":[\n\
         {\"name\":\"Zoo\",\"type\":\"directory\",\"modified\":\"1970-01-01T00:00:01Z\",\"url\":\"./Zoo/\"},\n\
         {\"name\":\"b.txt\",\"type\":\"file\",\"size\":2000,\"modified\":\"1970-01-01T00:00:03Z\",\"url\":\"./b.txt\"}\n]}\n"
    );
}

#[test]
fn the_form_is_the_one_that_is_wanted_more() {
    let form = |accept: &str| {
        let mut fields = FieldsBuilder::new();
        fields.push(b"Accept", accept.as_bytes());
        Form::of(&fields.finish())
    };
    assert_eq!(Form::of(&FieldsBuilder::new().finish()), Form::Html);
    for page in [
        "",
        "*/*",
        "text/html",
        "text/html,application/json;q=0.9",
        "application/xml",
        "text/*",
        "application/json;q=0",
        "application/json;q=0, */*",
        "application/json, text/html",
        "application/json;q=0.4, text/*;q=0.5",
        "application/json;q=2",
        "application/json;q=0.1, */*;q=0.2",
    ] {
        assert_eq!(form(page), Form::Html, "{page}");
    }
    for json in [
        "application/json",
        "text/plain, Application/JSON;q=0.5",
        "text/html;q=0.5, application/json",
        "text/html; Q=0.5 , application/json ;charset=utf-8; q=0.501",
        "application/*",
        "text/html;q=0, */*;q=0.1",
        "application/*;q=0.1, application/json, text/*;q=0.9",
        // What scripts send that want JSON and take the rest.
        "application/json, text/plain, */*",
    ] {
        assert_eq!(form(json), Form::Json, "{json}");
    }
}

proptest! {
    #[test]
    fn any_names_make_a_page(names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..8), path: Vec<u8>) {
        let items: Vec<Item> =
            names.iter().map(|n| Item { name: n.as_slice().into(), is_folder: n[0] % 2 == 0, size: 1, modified: -5 }).collect();
        let path = [b"/", path.as_slice(), b"/"].concat().into();
        let asked = Asked { path, form: Form::Html, order: Order::default() };
        let page = render(&asked, items.clone(), Some(0));
        // What is in the markup is ours: nothing of a name opens a tag or leaves an attribute.
        let rows = items.len() + usize::from(has_parent_for_test(&asked.path));
        prop_assert_eq!(page.matches("<tr").count(), rows + 1);
        prop_assert!(!page.contains("<script") && !page.contains("href=\"//"));
        render(&Asked { form: Form::Json, ..asked }, items, Some(0));
    }
}

fn has_parent_for_test(path: &[u8]) -> bool {
    path.iter().any(|b| *b != b'/')
}
