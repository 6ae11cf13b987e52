//! Keyset paging: a page begins behind the key of the last row that was given.

use sea_orm::{
    DbBackend, Order, Value,
    sea_query::{Expr, ExprTrait as _},
};

/// The condition that a row lies behind a key, whose columns are ordered alike. Each database finds such
/// rows by its index in one of the two ways of saying it: SQLite by `(a, b) > (x, y)`, MySQL by `a > x
/// OR (a = x AND b > y)`.
pub(in crate::store) fn behind(backend: DbBackend, key: Vec<(Expr, Value)>, order: &Order) -> Expr {
    let beyond = |column: Expr, value: Expr| match order {
        Order::Desc => column.lt(value),
        _ => column.gt(value),
    };
    if backend == DbBackend::Sqlite {
        let (columns, values): (Vec<_>, Vec<_>) =
            key.into_iter().map(|(column, value)| (column, Expr::val(value))).unzip();
        return beyond(Expr::tuple(columns), Expr::tuple(values));
    }
    let mut behind = None;
    for (column, value) in key.into_iter().rev() {
        let here = beyond(column.clone(), Expr::val(value.clone()));
        behind = Some(match behind {
            None => here,
            Some(rest) => here.or(column.eq(Expr::val(value)).and(rest)),
        });
    }
    behind.unwrap_or_else(|| Expr::val(true))
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::Query;

    use super::*;

    #[test]
    fn a_key_is_left_behind_in_either_way() {
        let sql = |backend: DbBackend, order| {
            let key = vec![(Expr::col("a"), 1_i64.into()), (Expr::col("b"), 2_i64.into())];
            let select = Query::select().expr(Expr::val(1)).from("t").and_where(behind(backend, key, &order)).take();
            backend.build(&select).to_string()
        };
        let mysql = sql(DbBackend::MySql, Order::Asc);
        assert!(mysql.ends_with("WHERE `a` > 1 OR (`a` = 1 AND `b` > 2)"), "{mysql}");
        let sqlite = sql(DbBackend::Sqlite, Order::Desc);
        assert!(sqlite.ends_with(r#"WHERE ("a", "b") < (1, 2)"#), "{sqlite}");
    }
}
