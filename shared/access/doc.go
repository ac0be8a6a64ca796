// Package access decides which callers may do what, on every HTTP and gRPC
// port of every program.
//
// # Callers
//
// A caller sends a bearer token. It is the installation's token (MILLRACE_TOKEN
// or MILLRACE_TOKEN_FILE), which has every role, or a named token of the access
// file (MILLRACE_ACCESS_FILE), which has some roles, for all pipelines or for
// some. Callers without a token have the roles of MILLRACE_ANONYMOUS. If no
// token is configured and no role is free, only the public routes are answered:
// an omitted setting closes a port and never opens it.
//
// # Routes
//
// A route is registered with alternative roles for its callers, so that no
// route can be added without a decision. Only health is Public. A path without
// a route needs the role read, so that a caller without a token learns nothing
// about which paths exist.
//
// # Tokens at rest
//
// The access file has the SHA-256 digests of its tokens. A slow hash such as
// argon2 is for passwords, which can be guessed. A generated token has 256
// random bits, which nobody finds by trying, however fast the hash is, and a
// slow hash would cost every request its time. For the same reason a token of
// fewer than MinLength characters is refused.
//
// Files are read again when they change, within a second, so that tokens are
// created and revoked without a restart. A file with a mistake is not used: the
// tokens read before stay valid, and the mistake is logged.
package access
