// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// unpackNewest unpacks a package as unpack does, or, if it is that of a kernel, the newest of its
// kind that is to be had: an archive may name one for some time which it does not have yet, or no
// longer.
func (a *archive) unpackNewest(ctx context.Context, pkg string, match *regexp.Regexp,
	into string) error {
	names, err := a.unpack(ctx, pkg, match, into)
	if err == nil || ctx.Err() != nil {
		return err
	}
	known, listing := output(a.apt(ctx, "apt-cache", "pkgnames", kernelPrefix))
	if listing != nil {
		return errors.Join(err, listing)
	}
	for _, older := range kernelsLike(pkg, string(known)) {
		if slices.Contains(names, older) {
			continue // the one that pkg stands for
		}
		fmt.Printf("%v\nfetching %s instead\n", err, older)
		if _, again := a.unpack(ctx, older, match, into); again == nil {
			return nil
		}
	}
	return err
}

const kernelPrefix = "linux-image-"

// kernelVersion matches what stands between kernelPrefix and the flavour in the name of a kernel's
// package.
var kernelVersion = regexp.MustCompile(`^[0-9][0-9a-z.+~]*(-[0-9]+)?$`)

// kernelsLike returns those of some packages, a line each, for which the package pkg of a flavour
// may stand, the newest first.
func kernelsLike(pkg, packages string) []string {
	flavour, ok := strings.CutPrefix(pkg, kernelPrefix)
	if !ok {
		return nil
	}
	var like []string
	for name := range strings.FieldsSeq(packages) {
		version, ok := strings.CutSuffix(name, "-"+flavour)
		version, prefixed := strings.CutPrefix(version, kernelPrefix)
		if ok && prefixed && kernelVersion.MatchString(version) {
			like = append(like, name)
		}
	}
	slices.SortFunc(like, func(x, y string) int { return slices.Compare(numbers(y), numbers(x)) })
	return like
}

var number = regexp.MustCompile(`[0-9]+`)

// numbers returns the numbers in a name, in their order.
func numbers(name string) (all []int) {
	for _, digits := range number.FindAllString(name, -1) {
		if n, err := strconv.Atoi(digits); err == nil {
			all = append(all, n)
		}
	}
	return all
}
