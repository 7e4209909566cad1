// yamlref prints, for every YAML document of its input, the JSON that sigs.k8s.io/yaml makes of
// it: the reference for the agent's "kubernetes" YAML profile.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// convert writes one line per document of r: the JSON itself, or {"$error": "..."} for a document
// that sigs.k8s.io/yaml refuses. Documents are split as kubectl splits them.
func convert(out *bufio.Writer, r io.Reader) error {
	docs := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, err := yaml.YAMLToJSON(doc)
		if err != nil {
			line, _ = json.Marshal(map[string]string{"$error": err.Error()})
		}
		out.Write(bytes.TrimSpace(line))
		out.WriteByte('\n')
	}
}

func run(names []string) error {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	if len(names) == 0 {
		return convert(out, os.Stdin)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = convert(out, f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "yamlref:", err)
		os.Exit(2)
	}
}
