"""The document at /openapi.json, against the specification of such documents."""

import sys

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

import expected


def main(url):
    t = expected.Tests("openapi-spec-validator")
    document = requests.get(f"{url}/openapi.json", timeout=10).json()
    with t("the document is OpenAPI 3.1"):
        validate(document, cls=OpenAPIV31SpecValidator)
    t.end()


main(sys.argv[1])
