// Package gcs links Google Cloud Storage into a program: import it for its
// effect, and package artifact opens gs:// URLs.
package gcs

import _ "gocloud.dev/blob/gcsblob" // registers gs://
