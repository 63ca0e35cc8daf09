//! Shared by all pages: layout, forms, links, messages, words and errors.

pub(super) mod assets;
mod cookies;
mod fault;
mod fields;
mod flash;
mod form;
pub(super) mod headers;
pub(super) mod href;
mod page;
mod paging;
pub(super) mod problem_page;
mod render;
mod time;
mod viewer;
pub(super) mod words;

pub(super) use cookies::cookies;
pub(super) use fault::{Fault, field_error, sentence};
pub(super) use fields::Fields;
pub(super) use flash::Flash;
pub(super) use form::{Action, Form};
pub(super) use page::{Numbers, Page, Tab, View, count, grouped};
pub(super) use paging::{List, ROWS};
pub(super) use render::{render, render_with, see_other};
pub(super) use time::{When, span};
pub(super) use viewer::Viewer;
