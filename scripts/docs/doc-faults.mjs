import path from 'node:path'
import ts from 'typescript'

/**
 * Public names without a docstring. Public is what a package's index exports, namespaces included, with the public
 * methods and accessors of classes and the methods of interfaces. Exempt, because name and type say it all: other
 * properties, constructors (their class says what they take) and `[Symbol.dispose]`. A method of a class that
 * documents it in a base class or an interface it implements has that docstring. A function or method that throws in
 * its own body must say so: `@throws`, or a sentence that names the error.
 *
 * @param {string} projectDir
 * @param {readonly string[]} indexFiles relative to projectDir
 * @returns {{ faults: string[], numNames: number }} faults as `file:line: sentence`
 */
export function findDocFaults(projectDir, indexFiles) {
  const files = indexFiles.map((file) => path.join(projectDir, file))
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    // Types of the language and of Node say nothing about docstrings, and take seconds to read.
    noLib: true,
    types: [],
    strict: true,
  })
  const checker = program.getTypeChecker()
  const found = { projectDir, checker, faults: [], places: new Set() }
  for (const file of files) {
    const source = program.getSourceFile(file)
    const index = source && checker.getSymbolAtLocation(source)
    if (!index) throw new Error(`${file}: exports nothing`)
    visitModule(index, '', path.dirname(file), found)
  }
  return { faults: found.faults.sort(byPlace), numNames: found.places.size }
}

function visitModule(module, prefix, sourceDir, found) {
  for (const exported of found.checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? found.checker.getAliasedSymbol(exported) : exported
    const declarations = (symbol.declarations ?? []).filter(
      (declaration) => !path.relative(sourceDir, declaration.getSourceFile().fileName).startsWith('..'),
    )
    const name = `${prefix}${exported.name}`
    if (declarations.length === 0) continue
    if (ts.isSourceFile(declarations[0])) visitModule(symbol, `${name}.`, sourceDir, found)
    else visitExport(symbol, name, declarations, found)
  }
}

function visitExport(symbol, name, declarations, found) {
  check(symbol, name, declarations[0], found)
  for (const declaration of declarations) {
    if (!ts.isClassDeclaration(declaration) && !ts.isInterfaceDeclaration(declaration)) continue
    for (const member of declaration.members) {
      if (!isPublicAction(member)) continue
      const memberSymbol = found.checker.getSymbolAtLocation(member.name)
      if (memberSymbol) check(memberSymbol, `${name}.${member.name.text}`, member, found)
    }
  }
}

/** Methods and accessors that can be called from outside by a plain name. */
function isPublicAction(member) {
  const isAction =
    ts.isMethodDeclaration(member) || ts.isMethodSignature(member) || ts.isGetAccessorDeclaration(member)
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected
  return isAction && ts.isIdentifier(member.name) && !(ts.getCombinedModifierFlags(member) & hidden)
}

function check(symbol, name, declaration, found) {
  const source = declaration.getSourceFile()
  const { line } = source.getLineAndCharacterOfPosition(declaration.getStart(source))
  const at = `${path.relative(found.projectDir, source.fileName)}:${line + 1}`
  // A name may be exported twice, by itself and in a namespace.
  if (found.places.has(at)) return
  found.places.add(at)
  const text = ts.displayPartsToString(symbol.getDocumentationComment(found.checker))
  const tags = symbol.getJsDocTags(found.checker)
  if (text.trim() === '' && tags.length === 0) found.faults.push(`${at}: export ${name} has no docstring`)
  else if (
    throwsItself(declaration) &&
    !tags.some((tag) => tag.name === 'throws') &&
    !/\bthrow|refuse|reject/i.test(text)
  ) {
    found.faults.push(`${at}: export ${name} throws, but its docstring names no error (@throws)`)
  }
}

/** Whether the body holds a throw that no try around it catches; functions inside it are their own affair. */
function throwsItself(declaration) {
  let found = false
  const visit = (node) => {
    if (found || ts.isFunctionLike(node) || ts.isClassLike(node)) return
    if (ts.isThrowStatement(node)) found = true
    else if (ts.isTryStatement(node) && node.catchClause) {
      visit(node.catchClause)
      if (node.finallyBlock) visit(node.finallyBlock)
    } else ts.forEachChild(node, visit)
  }
  if (declaration.body) ts.forEachChild(declaration.body, visit)
  return found
}

function byPlace(a, b) {
  return a.localeCompare(b, 'en', { numeric: true })
}
