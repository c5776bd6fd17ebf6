// SPDX-License-Identifier: GPL-2.0-or-later

// Package docs has the tests of the documentation: that its programs compile, its commands run, its
// manifests are well-formed and its links lead somewhere.
//
// A fenced block may be marked by HTML comments on the lines before it, see marks in
// blocks_test.go.
package docs
