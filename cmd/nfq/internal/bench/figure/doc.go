// SPDX-License-Identifier: GPL-2.0-or-later

// Package figure keeps what was measured, and shows it: as text, as JSON and as charts.
package figure
