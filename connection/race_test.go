// SPDX-License-Identifier: GPL-2.0-or-later

//go:build race

package connection_test

// raceDetector says that everything takes several times as long.
const raceDetector = true
