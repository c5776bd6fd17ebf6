// SPDX-License-Identifier: GPL-2.0-or-later

// Package addup adds up statistics.
package addup

import "reflect"

// Fields adds the fields of one structure to those of another of the same type: numbers of type
// uint64, int and int64, also in arrays, structures and what pointers lead to. Other fields stay.
func Fields[T any](to, from *T) { add(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()) }

func add(to, from reflect.Value) {
	switch to.Kind() {
	case reflect.Struct:
		for i := range to.NumField() {
			add(to.Field(i), from.Field(i))
		}
	case reflect.Array:
		for i := range to.Len() {
			add(to.Index(i), from.Index(i))
		}
	case reflect.Pointer:
		if from.IsNil() {
			return
		}
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		add(to.Elem(), from.Elem())
	case reflect.Uint64:
		to.SetUint(to.Uint() + from.Uint())
	case reflect.Int, reflect.Int64:
		to.SetInt(to.Int() + from.Int())
	}
}
