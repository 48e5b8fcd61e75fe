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
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
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
			if name == "the schema before" {
				s.sql = sqlexpr.BeforeUnlisted(s.sql)
			}
			if err := prepare(t.Context(), conn, s.sql); err != nil {
				t.Errorf("%s, on %s: %v\n%s", s.where, name, err, s.sql)
			}
		}
	}
}

// needsNewest is where what came with the newest migrations is. What else serves runs without it.
var needsNewest = regexp.MustCompile(`outbox/partition_(make|drop|detached)\.go|/backfills?\.go|internal/(adopt|deadletter|notify|shadow)/|beat/shadow\.go|outbox/(owntask|calendar_source)\.go|internal/projection/mendcalendar\.go|internal/(revoke/|catalog/rundetail\.go|results/retried\.go)|relay/(cancelled|unlisted)\.go|relay/ledger/(epoch|installation|refusal|sinks)\.go`)

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
	"updateSchedule": "insertEvent", "updateUntilPast": "insertEvent", "updateOwn": "insertEvent", "updateOwnUntilPast": "insertEvent",
	"haltSchedule": "insertEvent", "haltUntilPast": "insertEvent", "haltOwn": "insertEvent", "haltOwnUntilPast": "insertEvent",
	"insertPaused": "insertEvent", "insertPausedUnlessTaken": "insertEvent",
	"selectRowsSQL": "rowsOfNextSQL", "selectPositionsSQL": "nextByXidSQL",
}

var (
	beginsLikeSQL = regexp.MustCompile(`^\s*(select|insert into|update|delete from|with \w+ as)\s`)
	isPart        = regexp.MustCompile(`%(\[\d\])?[sdqv]|(\(|\b(and|where)\s*)$`) // completed at run time
)

// statements returns all statements of the module, which are read once for all tests.
func statements(t *testing.T) []statement {
	t.Helper()
	all, err := readStatements()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var readStatements = sync.OnceValues(func() (all []statement, err error) {
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
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
	return all, err
})

// statementsIn type-checks the files of a folder and the packages of ours that they import, which is enough to know
// their constants.
func statementsIn(dir string) (all []statement, err error) {
	fset := token.NewFileSet()
	files, err := parse(fset, dir)
	if err != nil {
		return nil, err
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	checker := types.Config{Importer: ours, Error: func(error) {}}
	pkg, _ := checker.Check(dir, fset, files, info) // what others it imports is unknown to it
	t := texts{info, initials(files)}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				return false // a constant is looked at where it is used
			}
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, known := t.of(expr)
			if !known {
				return true
			}
			if sql := text + t.ending(expr, pkg); beginsLikeSQL.MatchString(sql) && !isPart.MatchString(sql) && !isEnding(expr) {
				all = append(all, statement{fset.Position(expr.Pos()).String(), sql})
			}
			return false
		})
	}
	return all, nil
}

// texts knows expressions whose text does not depend on anything but the source: constants, and what they, variables
// that begin with one, and functions of package sqlexpr are put together to.
type texts struct {
	info    *types.Info
	initial map[string]ast.Expr // by the names of the package's variables
}

func (t texts) of(expr ast.Expr) (text string, known bool) {
	if value := t.info.Types[expr].Value; value != nil && value.Kind() == constant.String {
		return constant.StringVal(value), true
	}
	switch e := expr.(type) {
	case *ast.BinaryExpr:
		left, leftKnown := t.of(e.X)
		right, rightKnown := t.of(e.Y)
		return left + right, leftKnown && rightKnown && e.Op == token.ADD
	case *ast.Ident:
		if of := t.initial[e.Name]; of != nil && t.isOfPackage(e) {
			return t.of(of)
		}
	case *ast.CallExpr:
		return t.ofCall(e)
	}
	return "", false
}

// isOfPackage reports whether a name is used for what the package declares.
func (t texts) isOfPackage(name *ast.Ident) bool {
	v, ok := t.info.Uses[name].(*types.Var)
	return ok && v.Parent() == v.Pkg().Scope()
}

func (t texts) ofCall(call *ast.CallExpr) (text string, known bool) {
	of, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	if pkg, ok := of.X.(*ast.Ident); !ok || pkg.Name != "sqlexpr" {
		return "", false
	}
	args := make([]string, len(call.Args))
	for i, arg := range call.Args {
		if args[i], known = t.of(arg); !known {
			return "", false
		}
	}
	switch of.Sel.Name {
	case "Halt":
		return sqlexpr.Halt(args[0]), true
	case "InYears":
		return sqlexpr.InYears(args[0]), true
	case "BeyondYears":
		return sqlexpr.BeyondYears(args...), true
	case "NotSeen":
		return sqlexpr.NotSeen(args[0]), true
	case "AfterOpening":
		return sqlexpr.AfterOpening(args[0], args[1], args[2]), true
	case "BeforeOpening":
		return sqlexpr.BeforeOpening(args[0], args[1], args[2]), true
	}
	return "", false
}

// initials are what the variables of a package begin with.
func initials(files []*ast.File) map[string]ast.Expr {
	all := map[string]ast.Expr{}
	for _, file := range files {
		for _, decl := range file.Decls {
			vars, ok := decl.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			for _, spec := range vars.Specs {
				if spec := spec.(*ast.ValueSpec); len(spec.Names) == len(spec.Values) {
					for i, name := range spec.Names {
						all[name.Name] = spec.Values[i]
					}
				}
			}
		}
	}
	return all
}

// ending is what comes behind a named constant at run time.
func (t texts) ending(expr ast.Expr, pkg *types.Package) string {
	name, ok := expr.(*ast.Ident)
	if !ok || rest[name.Name] == "" {
		return ""
	}
	if more, ok := pkg.Scope().Lookup(rest[name.Name]).(*types.Const); ok {
		return constant.StringVal(more.Val())
	}
	more, _ := t.of(t.initial[rest[name.Name]])
	return more
}

func isEnding(expr ast.Expr) bool {
	name, ok := expr.(*ast.Ident)
	return ok && slices.Contains(slices.Collect(maps.Values(rest)), name.Name)
}

func parse(fset *token.FileSet, dir string) (files []*ast.File, err error) {
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
	return files, nil
}

// ours imports packages of this module from their source, and no others.
var ours = moduleImporter{}

const module = "github.com/tactus-dev/tactus/"

type moduleImporter map[string]*types.Package

func (m moduleImporter) Import(path string) (*types.Package, error) {
	dir, is := strings.CutPrefix(path, module)
	if !is {
		return nil, errors.New(fmt.Sprint(path, " is not looked at"))
	}
	if m[path] == nil {
		fset := token.NewFileSet()
		files, err := parse(fset, filepath.Join("..", dir))
		if err != nil {
			return nil, err
		}
		checker := types.Config{Importer: m, IgnoreFuncBodies: true, Error: func(error) {}}
		m[path], _ = checker.Check(path, fset, files, nil)
	}
	return m[path], nil
}
