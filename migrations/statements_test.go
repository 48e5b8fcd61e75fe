package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestEveryStatementCanBePrepared finds the SQL in the program's constants and has Postgres prepare each statement, on
// this version's schema and on the one before, on which the program has to run too.
func TestEveryStatementCanBePrepared(t *testing.T) {
	t.Parallel()
	found := statements(t)
	if len(found) < 30 {
		t.Fatalf("only %d statements were found: the search is broken", len(found))
	}
	for name, url := range map[string]string{"this schema": testenv.DirectURL(t), "the schema before": before(t)} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		for _, s := range found {
			if name == "the schema before" && needsNewest.MatchString(s.where) {
				continue
			}
			if err := prepare(t.Context(), conn, s.sql); err != nil {
				t.Errorf("%s, on %s: %v\n%s", s.where, name, err, s.sql)
			}
		}
	}
}

// needsNewest is where what came with the newest migrations is. What else serves runs without it.
var needsNewest = regexp.MustCompile(`internal/(adopt|deadletter|shadow)/|beat/shadow\.go|relay/ledger/(epoch|installation|sinks)\.go`)

func prepare(ctx context.Context, conn *pgx.Conn, sql string) error {
	if strings.Contains(sql, "@") {
		var err error
		if sql, _, err = (pgx.NamedArgs{}).RewriteQuery(ctx, conn, sql, nil); err != nil {
			return err
		}
	}
	for one := range strings.SplitSeq(sql, ";\n") {
		if _, err := conn.Prepare(ctx, "", one); err != nil {
			return err
		}
	}
	return nil
}

// statement is SQL in the source.
type statement struct{ where, sql string }

// rest is what the program appends at run time to constants that are not whole statements.
var rest = map[string]string{
	"insertSchedule": "insertEvent", "insertUntilPast": "insertEvent", "insertUnlessTaken": "insertEvent", "insertUnlessTakenOrPast": "insertEvent",
	"updateSchedule": "insertEvent", "updateUntilPast": "insertEvent", "selectRows": "inNext",
}

var (
	beginsLikeSQL = regexp.MustCompile(`^\s*(select|insert into|update|delete from|with \w+ as)\s`)
	isPart        = regexp.MustCompile(`%(\[\d\])?[sdqv]|\($`) // completed at run time
)

func statements(t *testing.T) (all []statement) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != ".." && strings.HasPrefix(name, ".") || name == "testdata" || name == "bench" {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != ".." {
			return filepath.SkipDir // another module
		}
		in, err := statementsIn(path)
		all = append(all, in...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// statementsIn type-checks the files of a folder by themselves, which is enough to know their constants.
func statementsIn(dir string) (all []statement, err error) {
	fset := token.NewFileSet()
	var files []*ast.File
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	checker := types.Config{Importer: noImports{}, Error: func(error) {}}
	pkg, _ := checker.Check(dir, fset, files, info) // what it imports is unknown to it
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				return false // a constant is looked at where it is used
			}
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			value := info.Types[expr].Value
			if value == nil || value.Kind() != constant.String {
				return true
			}
			if sql := constant.StringVal(value) + ending(expr, pkg); beginsLikeSQL.MatchString(sql) && !isPart.MatchString(sql) && !isEnding(expr) {
				all = append(all, statement{fset.Position(expr.Pos()).String(), sql})
			}
			return false
		})
	}
	return all, nil
}

// ending is what comes behind a named constant at run time.
func ending(expr ast.Expr, pkg *types.Package) string {
	name, ok := expr.(*ast.Ident)
	if !ok || rest[name.Name] == "" {
		return ""
	}
	more, ok := pkg.Scope().Lookup(rest[name.Name]).(*types.Const)
	if !ok {
		return ""
	}
	return constant.StringVal(more.Val())
}

func isEnding(expr ast.Expr) bool {
	name, ok := expr.(*ast.Ident)
	return ok && slices.Contains(slices.Collect(maps.Values(rest)), name.Name)
}

type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return nil, errors.New(fmt.Sprint(path, " is not looked at"))
}
