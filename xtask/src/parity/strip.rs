//! Takes the wait out of an item, so that both sides of a pair read the same.
//!
//! `async fn` becomes `fn`, `impl Future<Output = T>` becomes `T`, and a name that differs by its
//! crate or module alone becomes the same name. Nothing else may change here: every other
//! difference is for the comparison to find.

use proc_macro2::Ident;
use syn::visit_mut::{self, VisitMut};
use syn::{
    FnArg, GenericArgument, Pat, PatIdent, PathArguments, Signature, Type, TypeImplTrait,
    TypeParamBound, WhereClause,
};

/// Names of the async side, and what the blocking side calls the same thing.
const SAME_NAMES: &[(&str, &str)] = &[
    ("baseten", "baseten_blocking"),
    ("nonblocking", "blocking"),
    ("AsyncRead", "Read"),
    ("AsyncWrite", "Write"),
];

/// The visitor that does it.
pub(super) struct Strip;

impl VisitMut for Strip {
    fn visit_signature_mut(&mut self, signature: &mut Signature) {
        signature.asyncness = None;
        // `mut` on an argument is the body's own affair.
        for argument in &mut signature.inputs {
            match argument {
                FnArg::Typed(typed) => {
                    if let Pat::Ident(PatIdent { mutability, .. }) = &mut *typed.pat {
                        *mutability = None;
                    }
                }
                FnArg::Receiver(receiver) => receiver.mutability = None,
            }
        }
        visit_mut::visit_signature_mut(self, signature);
    }

    fn visit_where_clause_mut(&mut self, clause: &mut WhereClause) {
        // The last comma is rustfmt's, by the length of the line.
        clause.predicates.pop_punct();
        visit_mut::visit_where_clause_mut(self, clause);
    }

    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(opaque) = ty
            && let Some(output) = future_output(opaque)
        {
            *ty = output;
        }
        visit_mut::visit_type_mut(self, ty);
    }

    fn visit_ident_mut(&mut self, ident: &mut Ident) {
        if let Some((_, blocking)) = SAME_NAMES.iter().find(|(waiting, _)| ident == waiting) {
            *ident = Ident::new(blocking, ident.span());
        }
    }
}

/// The `T` of `impl Future<Output = T> + …`.
fn future_output(opaque: &TypeImplTrait) -> Option<Type> {
    opaque.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(output) if output.ident == "Output" => {
                Some(output.ty.clone())
            }
            _ => None,
        })
    })
}
