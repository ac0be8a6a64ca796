// Package azure links Azure Blob Storage into a program: import it for its
// effect, and package artifact opens azblob:// URLs.
package azure

import _ "gocloud.dev/blob/azureblob" // registers azblob://
