// Package s3 links Amazon S3 and what speaks its protocol into a program:
// import it for its effect, and package artifact opens s3:// URLs.
package s3

import _ "gocloud.dev/blob/s3blob" // registers s3://
