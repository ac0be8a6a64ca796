// Package sequential compares a canary with its champion while the requests
// come in, as often as anybody likes: the tests are e-processes, so that the
// chance of ever calling an equal canary worse stays below alpha, whenever one
// looks and whenever one stops.
//
// The evidence of a test is E, kept as a logarithm: it starts at 1, is below
// 1/alpha for ever with probability 1-alpha if the hypothesis is true, and
// grows if it is not (Ville 1939). All state is a few numbers for each test,
// and folding the same batches in the same order gives the same bits.
//
//   - [TwoArm] tests that the canary's rate exceeds the champion's by at most a
//     margin (Turner, Ly and Grünwald 2024; with margins Turner and Grünwald
//     2023). Each batch is compared with itself, so that an outage that both
//     versions share is no evidence, and the shares of traffic may change.
//   - [Safe] is the test of the opposite: that the canary is worse by at least
//     the margin. Its evidence says that the canary is not.
//   - [Exceeds] and [Keeps] test one rate against a fixed bound, by the
//     one-sided beta-binomial mixture (Robbins 1970; Howard, Ramdas, McAuliffe
//     and Sekhon 2021).
//
// We chose this over bounds at a fixed level, which looked at after every batch
// abort an equal canary in 25 to 61 % of rollouts. What we gave up: a
// difference takes some more requests to be told.
package sequential
