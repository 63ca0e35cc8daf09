//! A reader of the console's pages: keeps cookies, reads forms, follows no redirect by itself.

use std::collections::BTreeMap;

use http::Method;
use http::header::SET_COOKIE;
use reqwest::{Client, RequestBuilder};

use super::{ADMIN_TOKEN, Admin, Answer};

/// A browser without a script.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    client: Client,
    base: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(super) fn new(client: Client, base: String) -> Self {
        let cookies = BTreeMap::new();
        Self {
            client,
            base,
            cookies,
        }
    }

    /// The same browser, with its cookies, at another daemon.
    pub(crate) fn at(&self, admin: &Admin) -> Self {
        Self {
            cookies: self.cookies.clone(),
            ..admin.browser()
        }
    }

    /// A request with the cookies, to be changed.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.client
            .request(method, format!("{}{path}", self.base))
            .header("accept", "text/html,*/*;q=0.8")
            .header("cookie", cookies.join("; "))
    }

    /// Sends it, and keeps the cookies of the answer.
    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// A page, whatever its status.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// The text of a page that is there.
    pub(crate) async fn page(&mut self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.text()
    }

    /// A form, as it stands, from a page of this host.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("origin", self.base.clone())
            .header("sec-fetch-site", "same-origin")
            .form(fields);
        self.send(request).await
    }

    /// A form of the page at `from`, with the hidden fields that it has to carry.
    pub(crate) async fn submit(
        &mut self,
        from: &str,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let page = self.page(from).await;
        let csrf = hidden(&page, "csrf");
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.post(action, &all).await
    }

    /// What a form answered with: where it went, and what the page there says was done.
    pub(crate) async fn follow(&mut self, answer: &Answer) -> (String, String) {
        assert_eq!(answer.status, 303, "{answer:?}");
        let place = answer.header("location").to_owned();
        let page = self.page(&place).await;
        let said = page.split_once("<p class=\"notice ").map(|(_, rest)| rest);
        let said = said.and_then(|rest| Some(rest.split_once('>')?.1.split_once("</p>")?.0));
        (place, said.unwrap_or_default().to_owned())
    }

    /// Logs in with a token.
    pub(crate) async fn log_in(&mut self, token: &str) -> Answer {
        self.post("/login", &[("token", token)]).await
    }

    /// Logged in with the token that may do all.
    pub(crate) async fn logged_in(mut self) -> Self {
        let answer = self.log_in(ADMIN_TOKEN).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        self
    }

    /// The cookies.
    pub(crate) fn cookies(&self) -> &BTreeMap<String, String> {
        &self.cookies
    }
}

/// The value of a hidden field.
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no field {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}
