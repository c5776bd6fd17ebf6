// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !race

package connection_test

// raceDetector says that nothing is slowed down.
const raceDetector = false
