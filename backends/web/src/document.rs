//! An app's OpenAPI document.

use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::{MEDIA_TYPE, Problem};

/// The document of an app's routes: each operation also answers a [`Problem`].
pub fn document<S>(app_name: &str, api: OpenApiRouter<S>) -> OpenApi
where
    S: Clone + Send + Sync + 'static,
{
    let mut document = api.into_openapi();
    document.info = utoipa::openapi::InfoBuilder::new()
        .title(app_name)
        .version(env!("CARGO_PKG_VERSION"))
        .build();
    let problem = ResponseBuilder::new()
        .description("What went wrong (RFC 9457)")
        .content(
            MEDIA_TYPE,
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(Problem::name())))
                .build(),
        )
        .build();
    for item in document.paths.paths.values_mut() {
        for operation in [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ]
        .into_iter()
        .flatten()
        {
            operation
                .responses
                .responses
                .entry("default".to_owned())
                .or_insert_with(|| RefOr::T(problem.clone()));
        }
    }
    document
        .components
        .get_or_insert_default()
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    document
}
