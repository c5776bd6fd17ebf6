// SPDX-License-Identifier: GPL-2.0-or-later

//go:build !linux

package nfqueue

func allowedCPUs() ([]int, error) {
	_, err := dial(0)
	return nil, err
}

func pin([]int) (unpin func(), err error) {
	_, err = dial(0)
	return nil, err
}
