// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// The parts of a document of SPDX 2.3 that are used here (https://spdx.github.io/spdx-spec/v2.3).
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		License       string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID               string         `json:"SPDXID"`
		Name             string         `json:"name"`
		Version          string         `json:"versionInfo"`
		FileName         string         `json:"packageFileName,omitempty"`
		DownloadLocation string         `json:"downloadLocation"`
		FilesAnalyzed    bool           `json:"filesAnalyzed"`
		Checksums        []spdxChecksum `json:"checksums,omitempty"`
		LicenseConcluded string         `json:"licenseConcluded"`
		LicenseDeclared  string         `json:"licenseDeclared"`
		Copyright        string         `json:"copyrightText"`
		Purpose          string         `json:"primaryPackagePurpose"`
		References       []spdxExternal `json:"externalRefs"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxExternal struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

const (
	noAssertion = "NOASSERTION"
	// ofCheckout is the version of a module that the go command has built from a checkout.
	ofCheckout = "(devel)"
)

// billOfMaterials lists the modules and the Go release of a binary, as JSON.
func (r release) billOfMaterials(binary, name string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	const documentID, mainID = "SPDXRef-DOCUMENT", "SPDXRef-nfq"
	nfq := goPackage(mainID, info.Main.Path, r.version)
	nfq.FileName, nfq.Purpose, nfq.LicenseDeclared = "nfq", "APPLICATION", "GPL-2.0-or-later"
	nfq.Checksums = []spdxChecksum{{"SHA256", fmt.Sprintf("%x", sha256.Sum256(content))}}
	d := spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: documentID, Name: name,
		Namespace: fmt.Sprintf("https://%s/spdx/%s-%x", info.Main.Path, name, sha256.Sum256(content)),
		Creation: spdxCreation{r.time.Format(time.RFC3339),
			[]string{"Tool: " + info.Main.Path + "/internal/release"}},
		Packages: []spdxPackage{nfq},
	}
	d.relate(documentID, "DESCRIBES", mainID)
	d.add(mainID, goPackage("SPDXRef-std", "std", info.GoVersion))
	for i, m := range info.Deps {
		version := m.Version
		if version == ofCheckout {
			version = r.version
		}
		d.add(mainID, goPackage(fmt.Sprintf("SPDXRef-module-%d", i+1), m.Path, version))
	}
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

// goPackage describes a module.
func goPackage(id, path, version string) spdxPackage {
	return spdxPackage{
		ID: id, Name: path, Version: version, DownloadLocation: noAssertion,
		LicenseConcluded: noAssertion, LicenseDeclared: noAssertion,
		Copyright: noAssertion, Purpose: "LIBRARY",
		References: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + version}},
	}
}

// add adds a package that is linked into another.
func (d *spdxDocument) add(into string, p spdxPackage) {
	d.Packages = append(d.Packages, p)
	d.relate(into, "DEPENDS_ON", p.ID)
}

func (d *spdxDocument) relate(from, how, to string) {
	d.Relationships = append(d.Relationships, spdxRelationship{from, how, to})
}
