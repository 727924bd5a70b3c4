//! A whole call: six lines of variables in the order of the specification, then standard input.

pub(crate) fn target(data: &[u8]) {
    let mut lines = data.splitn(7, |&byte| byte == b'\n');
    let mut variables = [(); 6].map(|()| lines.next().unwrap_or_default());
    // Most inputs would never get beyond the verb.
    if variables[0].len() == 1 {
        let verbs = [b"ADD".as_slice(), b"DEL", b"CHECK", b"GC", b"STATUS", b"VERSION"];
        variables[0] = verbs[usize::from(variables[0][0]) % verbs.len()];
    }
    cni::fuzzing::request(variables, lines.next().unwrap_or_default());
}
