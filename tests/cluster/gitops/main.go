// Judges a resource as GitOps tools do: Flux by kstatus, Argo CD by a Lua script in the interpreter that it uses.
//
//	judge kstatus < resource.json
//	judge argocd health.lua < resource.json
//
// It prints the status in one line and the message in the next.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

func main() {
	found, message, err := judge(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(found)
	fmt.Println(message)
}

func judge(arguments []string) (string, string, error) {
	var content map[string]interface{}
	if err := json.NewDecoder(os.Stdin).Decode(&content); err != nil {
		return "", "", err
	}
	if len(arguments) == 1 && arguments[0] == "kstatus" {
		return flux(content)
	}
	if len(arguments) == 2 && arguments[0] == "argocd" {
		return argo(content, arguments[1])
	}
	return "", "", fmt.Errorf("judge kstatus, or judge argocd SCRIPT")
}

func flux(content map[string]interface{}) (string, string, error) {
	resource := &unstructured.Unstructured{}
	text, err := json.Marshal(content)
	if err != nil {
		return "", "", err
	}
	// As from an API server: whole numbers are int64.
	if err := resource.UnmarshalJSON(text); err != nil {
		return "", "", err
	}
	result, err := status.Compute(resource)
	if err != nil {
		return "", "", err
	}
	return result.Status.String(), result.Message, nil
}

func argo(content map[string]interface{}, script string) (string, string, error) {
	text, err := os.ReadFile(script)
	if err != nil {
		return "", "", err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	// The libraries that a health script of Argo CD may use by default.
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return "", "", err
		}
	}
	state.SetGlobal("obj", luajson.DecodeValue(state, content))
	if err := state.DoString(string(text)); err != nil {
		return "", "", err
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the script returns no table")
	}
	return answer.RawGetString("status").String(), answer.RawGetString("message").String(), nil
}
