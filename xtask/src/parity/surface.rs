//! What a source file offers to others, as a set of lines.
//!
//! One line a function, method, type with its public fields or variants, constant, re-export and
//! implemented trait, in full and without its wait. It reads what is written, not what a macro
//! makes of it: our facades have no macros.

use std::collections::BTreeSet;

use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, Fields, File, ImplItem, Item, ItemEnum, ItemImpl, ItemStruct, ItemTrait, Path,
    Token, TraitItem, Type, UseTree, Visibility,
};

use crate::parity::strip::Strip;

/// The lines of one file.
pub(super) type Surface = BTreeSet<String>;

/// Parses a file and takes the waits out of it.
pub(super) fn parse(source: &str) -> Result<File, String> {
    let mut file = syn::parse_file(source).map_err(|e| e.to_string())?;
    Strip.visit_file_mut(&mut file);
    Ok(file)
}

/// Names of the public types and traits of a file: an `impl` of anything else is nobody's business.
pub(super) fn public_types(file: &File) -> impl Iterator<Item = String> {
    file.items.iter().filter_map(|item| {
        let (vis, ident) = match item {
            Item::Struct(item) => (&item.vis, &item.ident),
            Item::Enum(item) => (&item.vis, &item.ident),
            Item::Trait(item) => (&item.vis, &item.ident),
            _ => return None,
        };
        is_public(vis).then(|| ident.to_string())
    })
}

/// What the file offers, `types` being the public types of its whole crate.
pub(super) fn surface(file: &File, types: &BTreeSet<String>) -> Surface {
    let mut lines = Surface::new();
    for item in &file.items {
        match item {
            Item::Fn(item) if is_public(&item.vis) => {
                add(&mut lines, &item.attrs, tidy(&item.sig));
            }
            Item::Struct(item) if is_public(&item.vis) => of_struct(&mut lines, item),
            Item::Enum(item) if is_public(&item.vis) => of_enum(&mut lines, item),
            Item::Trait(item) if is_public(&item.vis) => of_trait(&mut lines, item.clone()),
            Item::Const(item) if is_public(&item.vis) => {
                let (ident, ty) = (&item.ident, &item.ty);
                add(&mut lines, &item.attrs, tidy(&quote!(const #ident: #ty)));
            }
            Item::Type(item) if is_public(&item.vis) => {
                let (ident, generics, ty) = (&item.ident, &item.generics, &item.ty);
                add(&mut lines, &item.attrs, tidy(&quote!(type #ident #generics = #ty)));
            }
            Item::Mod(item) if is_public(&item.vis) => {
                let ident = &item.ident;
                add(&mut lines, &item.attrs, tidy(&quote!(mod #ident)));
            }
            Item::Use(item) if is_public(&item.vis) => {
                for path in flatten(&item.tree) {
                    add(&mut lines, &item.attrs, format!("use {path}"));
                }
            }
            Item::Impl(item) if types.contains(&name(&item.self_ty)) => of_impl(&mut lines, item),
            _ => {}
        }
    }
    lines
}

fn of_struct(lines: &mut Surface, item: &ItemStruct) {
    let (ident, generics) = (&item.ident, &item.generics);
    let filter = &item.generics.where_clause;
    add(lines, &item.attrs, tidy(&quote!(struct #ident #generics #filter)));
    of_fields(lines, &ident.to_string(), &item.fields);
    derives(lines, &item.attrs, &ident.to_string());
}

fn of_enum(lines: &mut Surface, item: &ItemEnum) {
    let (ident, generics) = (&item.ident, &item.generics);
    add(lines, &item.attrs, tidy(&quote!(enum #ident #generics)));
    for variant in &item.variants {
        let (name, fields) = (&variant.ident, &variant.fields);
        add(lines, &variant.attrs, tidy(&quote!(#ident::#name #fields)));
    }
    derives(lines, &item.attrs, &ident.to_string());
}

fn of_trait(lines: &mut Surface, mut item: ItemTrait) {
    let attributes = std::mem::take(&mut item.attrs);
    item.vis = Visibility::Inherited;
    for inner in &mut item.items {
        if let TraitItem::Fn(method) = inner {
            method.default = None;
            method.attrs.clear();
        }
    }
    add(lines, &attributes, tidy(&item));
}

fn of_fields(lines: &mut Surface, owner: &str, fields: &Fields) {
    for (index, field) in fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
        let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
        add(lines, &field.attrs, format!("{owner}.{name}: {}", tidy(&field.ty)));
    }
}

fn of_impl(lines: &mut Surface, item: &ItemImpl) {
    let (generics, ty, filter) = (&item.generics, &item.self_ty, &item.generics.where_clause);
    if let Some((path, _)) = &item.trait_ {
        // However the trait was imported: by its last name.
        let path = path.segments.last();
        let types = item.items.iter().filter(|item| matches!(item, ImplItem::Type(_)));
        add(lines, &item.attrs, tidy(&quote!(impl #generics #path for #ty #filter { #(#types)* })));
        return;
    }
    for inner in &item.items {
        match inner {
            ImplItem::Fn(inner) if is_public(&inner.vis) => {
                let signature = &inner.sig;
                add(lines, &inner.attrs, tidy(&quote!(impl #generics #ty #filter: #signature)));
            }
            ImplItem::Const(inner) if is_public(&inner.vis) => {
                let (ident, constant) = (&inner.ident, &inner.ty);
                add(
                    lines,
                    &inner.attrs,
                    tidy(&quote!(impl #generics #ty: const #ident: #constant)),
                );
            }
            _ => {}
        }
    }
}

/// A derived trait counts like one implemented by hand.
fn derives(lines: &mut Surface, attributes: &[Attribute], owner: &str) {
    let list = Punctuated::<Path, Token![,]>::parse_terminated;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        for path in attribute.parse_args_with(list).into_iter().flatten() {
            let name = path.segments.last();
            lines.insert(format!("impl {} for {owner} {{}}", name.to_token_stream()));
        }
    }
}

/// Adds a line, with the attributes that change what a caller can do.
fn add(lines: &mut Surface, attributes: &[Attribute], item: impl Into<String>) {
    let kept = ["cfg", "non_exhaustive", "deprecated"];
    let kept = attributes.iter().filter(|a| kept.iter().any(|name| a.path().is_ident(name)));
    let mut line: Vec<String> = kept.map(|attribute| tidy(&attribute.to_token_stream())).collect();
    line.push(item.into());
    lines.insert(line.join(" "));
}

/// `use a::{b, c as d}` as `a::b` and `a::c as d`.
fn flatten(tree: &UseTree) -> Vec<String> {
    match tree {
        UseTree::Path(path) => {
            flatten(&path.tree).iter().map(|rest| format!("{}::{rest}", path.ident)).collect()
        }
        UseTree::Group(group) => group.items.iter().flat_map(flatten).collect(),
        UseTree::Name(name) => vec![name.ident.to_string()],
        UseTree::Rename(rename) => vec![format!("{} as {}", rename.ident, rename.rename)],
        UseTree::Glob(_) => vec!["*".to_owned()],
    }
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

/// The last name of a type's path.
fn name(ty: &Type) -> String {
    let Type::Path(ty) = ty else { return String::new() };
    ty.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
}

/// Tokens as a person would write them; `quote` puts a space between any two.
fn tidy(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (spaced, close) in [
        (" :: ", "::"),
        (" : ", ": "),
        (" < ", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (",)", ")"),
        ("# [", "#["),
        (" ;", ";"),
        (" :", ":"),
        ("? ", "?"),
        ("{ }", "{}"),
        (" '", "'"),
    ] {
        text = text.replace(spaced, close);
    }
    text
}
